"""Kubernetes: workers with a volume each, the tables, and a nightly feed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.errors import ConfigError
from pipeline.service.values import PASSWORD, SECRETS, STATE, Deployment, ServiceFile

_USER = 1000


def kubernetes_file(it: Deployment, *, workers: int = 2) -> ServiceFile:
    """Return all objects in one file.

    The configuration is not among them: it may hold addresses that are secret. What it names below a folder that all hosts
    see lies on one claim, ``NAME-files``, at the same paths.
    """
    name = _label(it.name)
    # Not the configuration's folder, unless films are there.
    reads = [path for path in it.shared_reads if path in it.reads]
    folders = [str(path) for path in (*it.shared_writes, *reads)]
    pod = _pod(name, it, folders)
    documents = [
        _object("batch/v1", "Job", f"{name}-migrate", spec={
            "backoffLimit": 6, "ttlSecondsAfterFinished": 3600,
            "template": {"spec": {**pod(["migrate"]), "restartPolicy": "OnFailure"}},
        }),
        _object("apps/v1", "StatefulSet", f"{name}-worker", spec={
            "serviceName": f"{name}-worker", "replicas": workers, "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": f"{name}-worker"}},
            "template": {
                "metadata": {"labels": {"app": f"{name}-worker"}},
                "spec": {**pod(["work"], own=True), "terminationGracePeriodSeconds": it.stop_seconds},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "state"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}},
            }],
        }),
        _object("batch/v1", "CronJob", f"{name}-submit", spec={
            "schedule": f"{it.minute} {it.hour} * * *", "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {
                "backoffLimit": 3, "template": {"spec": {**pod(["run", "--submit"]), "restartPolicy": "OnFailure"}},
            }},
        }),
    ]  # fmt: skip
    text = "\n".join(_comment(it, name)) + "\n" + "---\n".join("".join(_yaml(each)) for each in documents)
    return ServiceFile(f"{name}.yaml", "kubectl apply -f", text)


def _comment(it: Deployment, name: str) -> Iterator[str]:
    yield f"# Reelmill for {it.config}. The database is the one of [store] url; PostgreSQL itself is not among these."
    yield f"#   reelmill service container --config {shlex.quote(str(it.config))} > Containerfile"
    yield f"#   podman build --tag {name} --file Containerfile . && podman push {name} REGISTRY/{name}     # and name it below"
    yield f"#   kubectl create secret generic {name}-config --from-file=reelmill.toml={shlex.quote(str(it.config))}"
    yield f"#   kubectl create secret generic {name} --from-file={PASSWORD}=./store-password" + (
        f" --from-file=twelvelabs={shlex.quote(str(it.key_file))}" if it.key_file is not None else ""
    )
    yield f"# The claim {name}-files is yours: ReadWriteMany, with the folders that all hosts see. Each worker has a volume of"
    yield "# its own for what it fetches, and its name: after a restart it takes its own tasks again at once. Where nothing is"
    yield "# fetched (no YouTube, all files shared), a Deployment with an emptyDir in place of the claim does as well."
    yield "# The certificates of the database's authority, if it is not the system's: mount them and name them in sslrootcert."


def _pod(name: str, it: Deployment, folders: Sequence[str]) -> Any:
    environment = {
        "REELMILL_RUN__STATE": STATE,
        "REELMILL_YOUTUBE__PACE_FOLDER": f"{STATE}/pace",
        "REELMILL_STORE_PASSWORD_FILE": f"{SECRETS}/{PASSWORD}",
        **({"TWELVELABS_API_KEY_FILE": f"{SECRETS}/twelvelabs"} if it.key_file is not None else {}),
    }

    def pod(words: Sequence[str], *, own: bool = False) -> Mapping[str, Any]:
        """Return a pod's description; ``own``: its state lies on a claim of its own."""
        mounts = [
            {"name": "state", "mountPath": STATE},
            {"name": "config", "mountPath": str(it.config), "subPath": "reelmill.toml", "readOnly": True},
            {"name": "secret", "mountPath": SECRETS, "readOnly": True},
            *({"name": "files", "mountPath": folder, "subPath": folder.strip("/")} for folder in folders),
        ]
        volumes = [
            *([] if own else [{"name": "state", "emptyDir": {}}]),
            {"name": "config", "secret": {"secretName": f"{name}-config", "defaultMode": 0o440}},
            {"name": "secret", "secret": {"secretName": name, "defaultMode": 0o440}},
            {"name": "files", "persistentVolumeClaim": {"claimName": f"{name}-files"}},
        ]
        return {
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "reelmill",
                "image": name,
                "args": [*words, "--config", _plain(str(it.config))],
                "workingDir": str(it.config.parent),
                "env": [{"name": key, "value": value} for key, value in environment.items()],
                "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        }  # fmt: skip

    return pod


def _object(version: str, kind: str, name: str, **rest: Any) -> Mapping[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def _label(name: str) -> str:
    """Return a name that an object can have.

    Raises:
        ConfigError: it is too long.
    """
    label = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    if len(label) > 40:
        raise ConfigError(
            f"service: {name} is too long for the name of an object", remedy="give the configuration a shorter name"
        )
    return label


def _plain(word: str) -> str:
    """Return a word of which Kubernetes reads no variable."""
    return word.replace("$(", "$$(")


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping; what JSON holds, YAML does."""
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{indent}{key}:\n"
            yield from _yaml(each, indent + "  ")
        elif isinstance(each, list) and each and isinstance(each[0], dict):
            yield f"{indent}{key}:\n"
            for entry in each:
                first, *others = _yaml(entry, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from others
        else:
            yield f"{indent}{key}: {json.dumps(each, ensure_ascii=False)}\n"
