"""Kubernetes: workers with a volume each, the tables, and a nightly feed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import ConfigError
from pipeline.service.values import PASSWORD, SECRETS, SHARED_ONLY, STATE, Deployment, ServiceFile

_USER = 1000
#: A state folder that goes with its pod.
_GOES: Mapping[str, Any] = {"name": "state"}


def kubernetes_file(it: Deployment, *, workers: int = 2) -> ServiceFile:
    """Return all objects in one file.

    The configuration is not among them: it may hold addresses that are secret. What it names below a folder that all hosts
    see lies on one claim, ``NAME-files``, at the same paths.
    """
    name = _label(it.name)
    # Not the configuration's folder, unless films are there.
    reads = [path for path in it.shared_reads if path in it.reads]
    folders = [str(path) for path in (*it.shared_writes, *reads)]
    pods = _Pods(name, it, folders)
    documents = [
        _object("batch/v1", "Job", f"{name}-migrate", spec={
            "backoffLimit": 6, "ttlSecondsAfterFinished": 3600,
            "template": {"spec": {**pods.of(["migrate"]), "restartPolicy": "OnFailure"}},
        }),
        _object("apps/v1", "StatefulSet", f"{name}-worker", spec={
            "serviceName": f"{name}-worker", "replicas": workers, "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": f"{name}-worker"}},
            "template": {
                "metadata": {"labels": {"app": f"{name}-worker"}},
                "spec": {**pods.of(["work"], state=None), "terminationGracePeriodSeconds": it.stop_seconds},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "state"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}},
            }],
        }),
    ]  # fmt: skip
    if it.feeds:
        # Its state lies among the shared files, so that it is one host each night.
        submit = pods.of(["run", "--submit"], state={"name": "files", "subPath": ".reelmill-submit"})
        job = {"backoffLimit": 3, "template": {"spec": {**submit, "restartPolicy": "OnFailure"}}}
        nightly = {
            "schedule": f"{it.minute} {it.hour} * * *",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": job},
        }
        documents.append(_object("batch/v1", "CronJob", f"{name}-submit", spec=nightly))
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
    yield SHARED_ONLY
    yield "# The certificates of the database's authority, if it is not the system's: mount them and name them in sslrootcert."


@dataclass(frozen=True, slots=True)
class _Pods:
    """What the pods of one configuration have in common."""

    name: str
    it: Deployment
    folders: Sequence[str]  #: that all of them see

    def of(self, words: Sequence[str], *, state: Mapping[str, Any] | None = _GOES) -> Mapping[str, Any]:
        """Return the description of a pod that runs this command.

        ``state``: where the state folder is mounted from; None: from a claim of the pod's own.
        """
        own = {"name": "state"} if state is None else state
        mounts = [
            {**own, "mountPath": STATE},
            {"name": "config", "mountPath": str(self.it.config), "subPath": "reelmill.toml", "readOnly": True},
            {"name": "secret", "mountPath": SECRETS, "readOnly": True},
            *({"name": "files", "mountPath": folder, "subPath": folder.strip("/")} for folder in self.folders),
        ]
        volumes = [
            *([{"name": "state", "emptyDir": {}}] if state is _GOES else []),
            {"name": "config", "secret": {"secretName": f"{self.name}-config", "defaultMode": 0o440}},
            {"name": "secret", "secret": {"secretName": self.name, "defaultMode": 0o440}},
            {"name": "files", "persistentVolumeClaim": {"claimName": f"{self.name}-files"}},
        ]
        return {
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "reelmill",
                "image": self.name,
                "args": [*words, "--config", _plain(str(self.it.config))],
                "workingDir": str(self.it.config.parent),
                "env": [{"name": key, "value": value} for key, value in self._environment().items()],
                "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        }  # fmt: skip

    def _environment(self) -> Mapping[str, str]:
        key = {"TWELVELABS_API_KEY_FILE": f"{SECRETS}/twelvelabs"} if self.it.key_file is not None else {}
        return {
            "REELMILL_RUN__STATE": STATE,
            "REELMILL_YOUTUBE__PACE_FOLDER": f"{STATE}/pace",
            "REELMILL_STORE_PASSWORD_FILE": f"{SECRETS}/{PASSWORD}",
            **key,
        }


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
