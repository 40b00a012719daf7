"""The line: pull, map, guard, keep, plan, gate, deliver, settle; one file a step."""
