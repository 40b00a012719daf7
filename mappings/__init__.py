"""The engine that applies mappings, and one YAML file a source system."""
