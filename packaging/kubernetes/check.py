#!/usr/bin/env python3
"""Reads the Kubernetes example strictly: no key twice, and what refers to something finds it.

    packaging/kubernetes/check.py

Needs python3-yaml. A cluster's own validation is not replaced by it.
"""

import sys
import tomllib
from pathlib import Path

import yaml


class Strict(yaml.SafeLoader):
    """A loader for which a key that stands twice is a mistake, as it is for the API server."""


def mapping(loader, node):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"{key} stands twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def main():
    path = Path(__file__).with_name("coracle.yaml")
    found = {}
    for own in yaml.load_all(path.read_text(), Loader=Strict):
        name = own["metadata"]["name"]
        assert own["apiVersion"] in ("v1", "apps/v1"), own["apiVersion"]
        assert own["kind"] == "Namespace" or own["metadata"]["namespace"] == "coracle", name
        assert own["kind"] not in found, f"{own['kind']} stands twice"
        found[own["kind"]] = own
    assert set(found) == {"Namespace", "ConfigMap", "PersistentVolumeClaim", "Deployment", "Service"}

    spec = found["Deployment"]["spec"]
    assert spec["replicas"] == 1 and spec["strategy"]["type"] == "Recreate"
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == found["Service"]["spec"]["selector"]

    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {own["name"]: own for own in pod["volumes"]}
    mounted = {own["name"]: own["mountPath"] for own in container["volumeMounts"]}
    assert set(volumes) == set(mounted), (volumes, mounted)
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert claim == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 65532

    ports = {own["name"]: own["containerPort"] for own in container["ports"]}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] in ports, probe
    assert found["Service"]["spec"]["ports"][0]["targetPort"] in ports

    file = container["args"][container["args"].index("--config") + 1]
    config = found["ConfigMap"]["data"][Path(file).name]
    settings = tomllib.loads(config)
    assert mounted["config"] == str(Path(file).parent)
    assert settings["storage"]["data"] == mounted["data"]
    assert settings["server"]["listen"] == [f":{ports['registry']}"]
    assert pod["terminationGracePeriodSeconds"] > settings["server"]["stop_seconds_max"]
    if len(sys.argv) > 1:
        # For `coracle config check --config FILE`.
        Path(sys.argv[1]).write_text(config)
    print(f"{path.name}: {len(found)} objects")


if __name__ == "__main__":
    main()
