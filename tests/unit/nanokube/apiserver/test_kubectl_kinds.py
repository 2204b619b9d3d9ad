"""Every built-in kind through stock kubectl: created, shown, explained; and who may do what."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nanokube.api import resources
from tests.unit.nanokube.apiserver.test_kubectl import KUBECTL, Kubectl, config, serving

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

POD = "{containers: [{name: c, image: busybox}]}"
ONCE = "{containers: [{name: c, image: busybox}], restartPolicy: Never}"
TEMPLATE = f"{{metadata: {{labels: {{a: b}}}}, spec: {POD}}}"
SELECTOR = "{matchLabels: {a: b}}"
CLAIM = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"
RULE = "{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}"
HOOK = (
    "[{name: a.example.com, clientConfig: {url: 'https://example.com'}, admissionReviewVersions: [v1], "
    "sideEffects: None}]"
)
# kind of the table -> the fields of an object besides its metadata
OBJECTS = {
    "configmaps": "{data: {a: b}}",
    "endpoints": "{subsets: [{addresses: [{ip: 1.2.3.4}], ports: [{port: 80}]}]}",
    "limitranges": "{spec: {limits: [{type: Pod, max: {cpu: '2'}}]}}",
    "namespaces": "{}",
    "nodes": "{}",
    "persistentvolumeclaims": f"{{spec: {CLAIM}}}",
    "persistentvolumes": (
        "{spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /tmp}}}"
    ),
    "podtemplates": f"{{template: {TEMPLATE}}}",
    "replicationcontrollers": f"{{spec: {{template: {TEMPLATE}}}}}",
    "resourcequotas": "{spec: {hard: {pods: '9'}}}",
    "secrets": "{stringData: {a: b}}",
    "serviceaccounts": "{}",
    "services": "{spec: {ports: [{port: 80}]}}",
    "controllerrevisions.apps": "{revision: 1, data: {a: b}}",
    "daemonsets.apps": f"{{spec: {{selector: {SELECTOR}, template: {TEMPLATE}}}}}",
    "deployments.apps": f"{{spec: {{selector: {SELECTOR}, template: {TEMPLATE}}}}}",
    "replicasets.apps": f"{{spec: {{selector: {SELECTOR}, template: {TEMPLATE}}}}}",
    "statefulsets.apps": (
        f"{{spec: {{selector: {SELECTOR}, template: {TEMPLATE}, serviceName: s, "
        f"volumeClaimTemplates: [{{metadata: {{name: d}}, spec: {CLAIM}}}]}}}}"
    ),
    "horizontalpodautoscalers.autoscaling": (
        "{spec: {maxReplicas: 3, scaleTargetRef: {kind: Deployment, name: x, apiVersion: apps/v1}}}"
    ),
    "cronjobs.batch": (
        f"{{spec: {{schedule: '*/5 * * * *', jobTemplate: {{spec: {{template: {{spec: {ONCE}}}}}}}}}}}"
    ),
    "jobs.batch": f"{{spec: {{template: {{spec: {ONCE}}}}}}}",
    "ingressclasses.networking.k8s.io": "{spec: {controller: example.com/c}}",
    "ingresses.networking.k8s.io": "{spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
    "networkpolicies.networking.k8s.io": "{spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}",
    "servicecidrs.networking.k8s.io": "{spec: {cidrs: [10.9.0.0/24]}}",
    "poddisruptionbudgets.policy": f"{{spec: {{minAvailable: 1, selector: {SELECTOR}}}}}",
    "clusterroles.rbac.authorization.k8s.io": "{rules: []}",
    "clusterrolebindings.rbac.authorization.k8s.io": "{roleRef: {kind: ClusterRole, name: view}}",
    "roles.rbac.authorization.k8s.io": "{rules: []}",
    "rolebindings.rbac.authorization.k8s.io": "{roleRef: {kind: Role, name: x}}",
    "csidrivers.storage.k8s.io": "{spec: {}}",
    "csinodes.storage.k8s.io": "{spec: {drivers: []}}",
    "csistoragecapacities.storage.k8s.io": "{storageClassName: x}",
    "storageclasses.storage.k8s.io": "{provisioner: example.com/p}",
    "volumeattachments.storage.k8s.io": (
        "{spec: {attacher: a, nodeName: n1, source: {persistentVolumeName: v}}}"
    ),
    "volumeattributesclasses.storage.k8s.io": "{driverName: d.example.com, parameters: {a: b}}",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": f"{{webhooks: {HOOK}}}",
    "validatingwebhookconfigurations.admissionregistration.k8s.io": f"{{webhooks: {HOOK}}}",
    "validatingadmissionpolicies.admissionregistration.k8s.io": (
        f"{{spec: {{matchConstraints: {{resourceRules: [{RULE}]}}, validations: [{{expression: 'true'}}]}}}}"
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": (
        "{spec: {policyName: x, validationActions: [Deny]}}"
    ),
    "priorityclasses.scheduling.k8s.io": "{value: 5}",
    "leases.coordination.k8s.io": "{spec: {holderIdentity: me}}",
    "runtimeclasses.node.k8s.io": "{handler: runc}",
    "endpointslices.discovery.k8s.io": "{addressType: IPv4, endpoints: [{addresses: [1.2.3.4]}]}",
    "deviceclasses.resource.k8s.io": "{spec: {}}",
    "resourceclaims.resource.k8s.io": "{spec: {}}",
    "resourceclaimtemplates.resource.k8s.io": "{spec: {spec: {}}}",
    "flowschemas.flowcontrol.apiserver.k8s.io": "{spec: {priorityLevelConfiguration: {name: exempt}}}",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": (
        "{spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}}}"
    ),
}
# kubectl cannot see that these are unchanged: defaults inside atomic lists, stringData, patchStrategy
# replace, empty lists that are null in the API
RECONFIGURED = {
    "clusterrole.rbac.authorization.k8s.io",
    "role.rbac.authorization.k8s.io",
    "csinode.storage.k8s.io",
    "endpoints",
    "secret",
    "persistentvolumeclaim",
    "replicationcontroller",
    "statefulset.apps",
    "networkpolicy.networking.k8s.io",
    "poddisruptionbudget.policy",
    "validatingadmissionpolicy.admissionregistration.k8s.io",
    "endpointslice.discovery.k8s.io",
    "limitrange",
    "cronjob.batch",
    "job.batch",
}


def manifests() -> str:
    found = []
    for name, fields in OBJECTS.items():
        resource = resources.get(name)
        head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}
        found.append({**head, **yaml.safe_load(fields)})
    return yaml.safe_dump_all(found)


def lines(text: str) -> list[str]:
    """Return what kubectl says, without warnings: Endpoints are deprecated."""
    return [line for line in text.splitlines() if not line.startswith("Warning: ")]


async def test_every_kind_is_created_shown_and_deleted(tmp_path: Path) -> None:
    async with serving(config(tmp_path), tmp_path) as kubectl:
        code, text = await kubectl("apply", "-f", "-", stdin=manifests())
        assert (code, len(lines(text))) == (0, len(OBJECTS)), text
        code, text = await kubectl("apply", "-f", "-", stdin=manifests())
        changed = {line.partition("/")[0] for line in lines(text) if not line.endswith("unchanged")}
        assert changed <= RECONFIGURED
        names = ",".join(name for name in OBJECTS)
        code, text = await kubectl("get", names, "-o", "wide", "--ignore-not-found")
        assert code == 0, text
        assert "cronjob.batch/x   */5 * * * *   <none>     False     0        <none>" in text
        code, text = await kubectl("get", "job", "x", "--no-headers")
        assert text.split()[:3] == ["x", "Running", "0/1"]
        code, text = await kubectl("delete", "-f", "-", "--wait=false", stdin=manifests())
        assert code == 0, text


async def test_generators_explain_and_access(tmp_path: Path) -> None:
    async with serving(config(tmp_path), tmp_path) as kubectl:
        await _generators(kubectl)
        assert "concurrencyPolicy" in (await kubectl("explain", "cronjob.spec"))[1]
        await _access(kubectl)


async def _generators(kubectl: Kubectl) -> None:
    for command in (
        "create job j --image=busybox",
        "create cronjob cj --image=busybox --schedule=@daily",
        "create job k --from=cronjob/cj",
        "create quota q --hard=pods=5",
        "create priorityclass pc --value=7",
        "create pdb b --min-available=50% --selector=a=b",
        "create ingress i --rule=example.com/*=svc:80",
        "create role r --verb=get,list --resource=pods,deployments.apps",
        "create rolebinding rb --role=r --user=nobody",
        "create clusterrole cr --verb=get --non-resource-url=/metrics",
        "create clusterrolebinding crb --clusterrole=cr --group=g",
        "create deployment web --image=nginx",
        "autoscale deployment web --max=5 --cpu=80%",
    ):
        code, text = await kubectl(*command.split())
        assert code == 0, (command, text)


async def _access(kubectl: Kubectl) -> None:
    assert (await kubectl("auth", "can-i", "list", "pods", user="nobody"))[1].strip() == "yes"
    assert (await kubectl("auth", "can-i", "delete", "pods", user="nobody"))[1].strip() == "no"
    code, text = await kubectl("auth", "can-i", "--list", user="nobody")
    assert code == 0, text
    listed = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert listed["pods"].rstrip().endswith("[get list]")
    assert listed["selfsubjectaccessreviews.authorization.k8s.io"].rstrip().endswith("[create]")
    more = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: default}\n"
        "rules: [{apiGroups: [''], resources: [pods], verbs: [watch]}]\n"
    )
    code, text = await kubectl("auth", "reconcile", "-f", "-", stdin=more)
    assert (code, "role.rbac.authorization.k8s.io/r reconciled" in text) == (0, True), text
    assert (await kubectl("auth", "can-i", "watch", "pods", user="nobody"))[1].strip() == "yes"
