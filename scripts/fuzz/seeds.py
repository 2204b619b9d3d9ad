"""One valid object of each kind that is stored, from which the fuzz run starts. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Object = dict[str, Any]

_SELECTOR: Final = {"matchLabels": {"app": "a"}}
_POD: Final = {
    "containers": [
        {
            "name": "c",
            "image": "busybox:1",
            "ports": [{"containerPort": 80, "name": "web"}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "web"}},
        }
    ],
    "volumes": [{"name": "v", "emptyDir": {}}],
}
_TEMPLATE: Final = {"metadata": {"labels": {"app": "a"}}, "spec": _POD}
_JOB_POD: Final = {**_POD, "restartPolicy": "Never"}
_CLAIM: Final = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_SUBJECT: Final = {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}
_RULE: Final = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
_DEVICES: Final = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "d", "count": 1}}]}}
_WEBHOOK: Final = {
    "name": "w.example.com",
    "clientConfig": {"url": "https://192.0.2.1/hook"},
    "rules": [{"apiGroups": ["none.example"], "apiVersions": ["v1"], "operations": ["CREATE"],
               "resources": ["nones"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}  # fmt: skip
_MATCH: Final = {
    "resourceRules": [
        {
            "apiGroups": ["none.example"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["nones"],
        }
    ]
}

# a signing request of CN=u, PEM in base64
_REQUEST: Final = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIRk1HNENBUUF3RERFS01BZ0dBMVVFQXd3QmRUQl"
    "pNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCQ0N0MVN5YWlSTkxIejlhVVVJRlJMNGlqT0RwUGpCalN3"
    "aUVSeFhIWGVYWCswenQ1dWVPQmlMcXo5UzNrSStzCmdWQU83dGZNR0c4S0xZdTlQbWs0MnppZ0FEQUtCZ2dxaGtqT1"
    "BRUURBZ05IQURCRUFpQWFmMEhJMmNrbCsyRE0Kb0pLQk0wbEJyVGQzWXdlZjQ5UHNURURpcnJ3SHJRSWdMTFk0aTZz"
    "bUpLbWZmQXdMK3MzQTN1SzdNcUxpMWFBdwpoSHltTzBCUUEvOD0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC"
    "0tLS0tCg=="
)

# group-resource -> the object without apiVersion, kind and metadata
BODIES: Final[Mapping[str, Object]] = {
    "configmaps": {"data": {"k": "v"}, "binaryData": {"b": "AAEC"}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 80}]}]},
    "events": {"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "R", "type": "Normal"},
    "limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    "namespaces": {},
    "nodes": {"spec": {"podCIDR": "10.9.0.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]}},
    "persistentvolumeclaims": {"spec": _CLAIM},
    "persistentvolumes": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/p"}}
    },
    "pods": {"spec": _POD},
    "podtemplates": {"template": _TEMPLATE},
    "replicationcontrollers": {"spec": {"replicas": 1, "selector": {"app": "a"}, "template": _TEMPLATE}},
    "resourcequotas": {"spec": {"hard": {"services.loadbalancers": "2", "count/jobs.batch": "50"}}},
    "secrets": {"data": {"k": "dg=="}, "type": "Opaque"},
    "serviceaccounts": {"automountServiceAccountToken": False},
    "services": {"spec": {"ports": [{"port": 80, "name": "web"}], "selector": {"app": "a"}}},
    "controllerrevisions.apps": {"revision": 1, "data": {"any": [1, "x", None]}},
    "daemonsets.apps": {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    "deployments.apps": {"spec": {"replicas": 2, "selector": _SELECTOR, "template": _TEMPLATE}},
    "replicasets.apps": {"spec": {"replicas": 2, "selector": _SELECTOR, "template": _TEMPLATE}},
    "statefulsets.apps": {
        "spec": {
            "serviceName": "s",
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": _CLAIM}],
        }
    },
    "events.events.k8s.io": {
        "eventTime": "2026-01-01T00:00:00.000001Z",
        "reportingController": "example.com/c",
        "reportingInstance": "i",
        "action": "A",
        "reason": "R",
        "type": "Normal",
        "regarding": {"kind": "Pod", "name": "p"},
    },
    "horizontalpodautoscalers.autoscaling": {
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
        }
    },
    "cronjobs.batch": {
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {"spec": {"template": {"metadata": {}, "spec": _JOB_POD}}},
        }
    },
    "jobs.batch": {"spec": {"completions": 1, "template": {"metadata": {}, "spec": _JOB_POD}}},
    "certificatesigningrequests.certificates.k8s.io": {
        "spec": {"request": _REQUEST, "signerName": "example.com/s", "usages": ["client auth"]}
    },
    "ingressclasses.networking.k8s.io": {"spec": {"controller": "example.com/c"}},
    "ingresses.networking.k8s.io": {
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}
    },
    "ipaddresses.networking.k8s.io": {
        "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "d"}}
    },
    "networkpolicies.networking.k8s.io": {
        "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}
    },
    "servicecidrs.networking.k8s.io": {"spec": {"cidrs": ["10.77.0.0/24"]}},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 1, "selector": _SELECTOR}},
    "clusterrolebindings.rbac.authorization.k8s.io": {
        "subjects": [_SUBJECT],
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
    },
    "clusterroles.rbac.authorization.k8s.io": {"rules": [_RULE]},
    "rolebindings.rbac.authorization.k8s.io": {
        "subjects": [_SUBJECT],
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
    },
    "roles.rbac.authorization.k8s.io": {"rules": [_RULE]},
    "csidrivers.storage.k8s.io": {"spec": {"attachRequired": False}},
    "csinodes.storage.k8s.io": {"spec": {"drivers": [{"name": "d.example.com", "nodeID": "n"}]}},
    "csistoragecapacities.storage.k8s.io": {"storageClassName": "s", "capacity": "1Gi"},
    "storageclasses.storage.k8s.io": {"provisioner": "example.com/p"},
    "volumeattachments.storage.k8s.io": {
        "spec": {"attacher": "example.com", "nodeName": "n", "source": {"persistentVolumeName": "p"}}
    },
    "volumeattributesclasses.storage.k8s.io": {"driverName": "example.com", "parameters": {"a": "b"}},
    "mutatingadmissionpolicies.admissionregistration.k8s.io": {
        "spec": {
            "matchConstraints": _MATCH,
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
        }
    },
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"policyName": "p"}},
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [_WEBHOOK]},
    "validatingadmissionpolicies.admissionregistration.k8s.io": {
        "spec": {"matchConstraints": _MATCH, "validations": [{"expression": "true"}]}
    },
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": {
        "spec": {"policyName": "p", "validationActions": ["Deny"]}
    },
    "validatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [_WEBHOOK]},
    "priorityclasses.scheduling.k8s.io": {"value": 10},
    "leases.coordination.k8s.io": {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 15}},
    "runtimeclasses.node.k8s.io": {"handler": "h"},
    "endpointslices.discovery.k8s.io": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": True}}],
        "ports": [{"name": "web", "port": 80}],
    },
    "deviceclasses.resource.k8s.io": {"spec": {"selectors": []}},
    "resourceclaims.resource.k8s.io": {"spec": _DEVICES},
    "resourceclaimtemplates.resource.k8s.io": {"spec": {"spec": _DEVICES}},
    "resourceslices.resource.k8s.io": {
        "spec": {
            "driver": "d.example.com",
            "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "x", "attributes": {"a": {"int": 1}}, "capacity": {"m": {"value": "1Gi"}}}],
        }
    },
    "flowschemas.flowcontrol.apiserver.k8s.io": {
        "spec": {"priorityLevelConfiguration": {"name": "global-default"}, "matchingPrecedence": 9999}
    },
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {
        "spec": {
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}},
        }
    },
    # subresources and reviews, by kind
    "Scale": {"spec": {"replicas": 3}},
    "Binding": {"target": {"kind": "Node", "name": "n"}},
    "Eviction": {"deleteOptions": {"gracePeriodSeconds": 0}},
    "TokenRequest": {"spec": {"expirationSeconds": 3600, "audiences": ["a"]}},
    "DeleteOptions": {"gracePeriodSeconds": 0, "propagationPolicy": "Background"},
    "SubjectAccessReview": {
        "spec": {"user": "u", "groups": ["g"], "resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "SelfSubjectAccessReview": {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}},
    "LocalSubjectAccessReview": {
        "spec": {"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "SelfSubjectRulesReview": {"spec": {"namespace": "default"}},
    "SelfSubjectReview": {},
    "TokenReview": {"spec": {"token": "t"}},
}
