"""The manifests are what Kubernetes takes, and what its policy "restricted" lets run."""

from __future__ import annotations

import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.deploy.conftest import (
    DEPLOY,
    containers,
    documents,
    has_pod,
    parse,
    pod_of,
)

K8S = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.parent for path in (K8S / "overlays").glob("*/kustomization.yaml"))
VERSIONS = ("1.28", "1.34")
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)


def resources(folder: Path) -> list[dict[str, Any]]:
    """What a kustomization is made of, its bases included, as it stands in the files."""
    [kustomization] = documents(folder / "kustomization.yaml")
    found = []
    for name in kustomization["resources"]:
        place = (folder / name).resolve()
        found += resources(place) if place.is_dir() else documents(place)
    return found


def everything() -> list[Any]:
    own = [
        pytest.param(d, id=f"{o.name}-{d['kind']}-{d['metadata']['name']}")
        for o in OVERLAYS
        for d in resources(o)
    ]
    [secret] = documents(K8S / "examples" / "secret.yaml")
    return [*own, pytest.param(secret, id="example-secret")]


def workloads() -> list[Any]:
    return [param for param in everything() if has_pod(param.values[0])]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", everything())
def test_kubernetes_takes_it(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_key_that_kubernetes_does_not_know_would_be_seen() -> None:
    [job] = (d for d in resources(K8S / "overlays" / "upgrade") if d["kind"] == "Job")
    job["spec"]["backoffLimits"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
@each_overlay
def test_kustomize_builds_it_into_one_namespace(overlay: Path, tmp_path: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (tmp_path / "built.yaml").write_text(built.stdout)
    made = documents(tmp_path / "built.yaml")
    assert {d["metadata"].get("namespace") for d in made if d["kind"] != "Namespace"} == {
        "clinicrelay"
    }
    kinds = sorted(d["kind"] for d in resources(overlay))
    assert sorted(d["kind"] for d in made) == sorted([*kinds, "ConfigMap"])
    [config] = (d for d in made if d["kind"] == "ConfigMap")
    for document in filter(has_pod, made):
        [volume] = (v for v in pod_of(document)["volumes"] if v["name"] == "settings")
        assert volume["configMap"]["name"] == config["metadata"]["name"]
        assert all(":" in one["image"] for one in containers(document))
    for document in made:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


# --- what runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("document", workloads())
def test_every_container_starts_a_command_of_ours(document: dict[str, Any]) -> None:
    for container in containers(document):
        assert "command" not in container, "the image's entry point is the program"
        parse(container["args"])


@pytest.mark.parametrize("document", workloads())
def test_every_pod_may_do_as_little_as_it_needs(document: dict[str, Any]) -> None:
    pod = pod_of(document)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["terminationGracePeriodSeconds"] > 10  # we promise to be gone by then
    writable = {v["name"] for v in pod["volumes"] if "emptyDir" in v}
    for container in containers(document):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert all(m.get("readOnly") or m["name"] in writable for m in mounts.values())
        assert mounts["tmp"]["mountPath"] == "/tmp"
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


def test_a_cronjob_neither_piles_up_nor_is_given_up() -> None:
    jobs = [d for d in resources(K8S / "overlays" / "cron") if d["kind"] == "CronJob"]
    assert {job["metadata"]["name"] for job in jobs} == {
        "clinicrelay-sync",
        "clinicrelay-send",
        "clinicrelay-status",
    }
    for job in jobs:
        spec = job["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["startingDeadlineSeconds"] >= 200
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
        assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
        [container] = containers(job)
        if container["args"][0] != "status":
            assert "3,4,75" in container["args"]


def test_the_service_is_alone_and_is_asked_whether_it_lives() -> None:
    found = resources(K8S / "overlays" / "service")
    [deployment] = (d for d in found if d["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    [container] = containers(deployment)
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    [own] = (e["value"] for e in container["env"] if e["name"].endswith("METRICS"))
    assert own == f"0.0.0.0:{ports['monitoring']}"


@each_overlay
def test_selectors_select_what_they_are_about(overlay: Path) -> None:
    found = resources(overlay)
    pods = [_template(d)["metadata"]["labels"] for d in found if has_pod(d)]
    for document in found:
        spec = document.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        if wanted:
            assert any(wanted.items() <= labels.items() for labels in pods), document["metadata"]


def _template(document: dict[str, Any]) -> dict[str, Any]:
    spec = document["spec"]
    return dict(
        (spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec)["template"]
    )


@each_overlay
def test_nothing_goes_in_or_out_but_what_a_policy_names(overlay: Path) -> None:
    policies = {
        d["metadata"]["name"]: d["spec"] for d in resources(overlay) if d["kind"] == "NetworkPolicy"
    }
    nothing = policies["clinicrelay-nothing"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(nothing)
    for rule in chain.from_iterable(p.get("egress", []) for p in policies.values()):
        assert rule["to"], "a rule without `to` lets out to everywhere"
        assert rule["ports"], "a rule without `ports` lets out on every port"
    [world] = (
        peer["ipBlock"]
        for rule in policies["clinicrelay-outward"]["egress"]
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    )
    assert "169.254.0.0/16" in world["except"], (
        "the cloud's metadata service gives credentials away"
    )


# --- secrets -------------------------------------------------------------------------------------


def test_the_example_holds_every_secret_that_is_used_and_none_that_is_real() -> None:
    [secret] = documents(K8S / "examples" / "secret.yaml")
    keys = set(secret["stringData"])
    assert set(secret["stringData"].values()) == {"REPLACE"}
    text = (K8S / "base" / "settings.yaml").read_text("utf-8")
    used = {part.split("}")[0] for part in text.split("${file:/run/secrets/clinicrelay/")[1:]}
    for document in chain.from_iterable(resources(overlay) for overlay in OVERLAYS):
        for container in containers(document) if has_pod(document) else ():
            refs = [e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e]
            used |= {ref["key"] for ref in refs}
            assert {ref["name"] for ref in refs} <= {"clinicrelay-secrets"}
    assert keys == used


# --- KEDA: its own kinds, by its documentation (keda.sh/docs, ScaledObject specification) ---------

_TEXT, _COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}


def _only(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_RABBITMQ = _only(
    {
        "protocol": {"enum": ["auto", "amqp", "http"]},
        "queueName": _TEXT,
        "mode": {
            "enum": ["QueueLength", "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio"]
        },
        "value": {"type": "string", "pattern": r"^\d+$"},
        "vhostName": _TEXT,
    },
    "queueName",
    "mode",
    "value",
)
_SPECS = {
    "ScaledObject": _only(
        {
            "scaleTargetRef": _only({"name": _TEXT, "kind": _TEXT, "apiVersion": _TEXT}, "name"),
            "minReplicaCount": _COUNT,
            "maxReplicaCount": _COUNT,
            "pollingInterval": _COUNT,
            "cooldownPeriod": _COUNT,
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": _only(
                    {
                        "type": {"const": "rabbitmq"},
                        "metadata": _RABBITMQ,
                        "authenticationRef": _only({"name": _TEXT}, "name"),
                    },
                    "type",
                    "metadata",
                ),
            },
        },
        "scaleTargetRef",
        "triggers",
    ),
    "TriggerAuthentication": _only(
        {
            "secretTargetRef": {
                "type": "array",
                "items": _only(
                    {"parameter": _TEXT, "name": _TEXT, "key": _TEXT}, "parameter", "name", "key"
                ),
            }
        },
        "secretTargetRef",
    ),
}


def test_the_example_for_keda_is_what_keda_documents() -> None:
    found = documents(K8S / "examples" / "keda.yaml")
    assert {d["kind"] for d in found} == set(_SPECS)
    for document in found:
        assert document["apiVersion"] == "keda.sh/v1alpha1"
        jsonschema.validate(document["spec"], _SPECS[document["kind"]])
    scaled = next(d["spec"] for d in found if d["kind"] == "ScaledObject")
    workers = resources(K8S / "overlays" / "workers")
    deployments = {d["metadata"]["name"] for d in workers if d["kind"] == "Deployment"}
    assert scaled["scaleTargetRef"]["name"] in deployments
    budget = next(d for d in workers if d["kind"] == "PodDisruptionBudget")
    assert scaled["minReplicaCount"] > budget["spec"]["minAvailable"], "else no node can be drained"
