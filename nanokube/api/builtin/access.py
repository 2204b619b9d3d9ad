"""Rows of authentication, authorization, certificates and RBAC."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import CREATE_ONLY, STATUS_VERBS, GroupVersion, Resource, Subresource

_AUTHN: Final = GroupVersion("authentication.k8s.io", "v1")
_AUTHZ: Final = GroupVersion("authorization.k8s.io", "v1")
_CERTIFICATES: Final = GroupVersion("certificates.k8s.io", "v1")
_RBAC: Final = GroupVersion("rbac.authorization.k8s.io", "v1")
_CSR: Final = "CertificateSigningRequest"

REVIEWS: Final[tuple[Resource, ...]] = (
    _AUTHN.kind("SelfSubjectReview", "selfsubjectreviews", is_global=True, verbs=CREATE_ONLY),
    _AUTHN.kind("TokenReview", "tokenreviews", is_global=True, verbs=CREATE_ONLY),
    _AUTHZ.kind("LocalSubjectAccessReview", "localsubjectaccessreviews", verbs=CREATE_ONLY),
    _AUTHZ.kind("SelfSubjectAccessReview", "selfsubjectaccessreviews", is_global=True, verbs=CREATE_ONLY),
    _AUTHZ.kind("SelfSubjectRulesReview", "selfsubjectrulesreviews", is_global=True, verbs=CREATE_ONLY),
    _AUTHZ.kind("SubjectAccessReview", "subjectaccessreviews", is_global=True, verbs=CREATE_ONLY),
)

CERTIFICATES: Final = (
    _CERTIFICATES.kind(
        _CSR,
        "certificatesigningrequests",
        "csr",
        is_global=True,
        subresources=(Subresource("approval", _CSR, STATUS_VERBS),),
        has_status=True,
    ),
)

ROWS: Final[tuple[Resource, ...]] = (
    _RBAC.kind("ClusterRoleBinding", "clusterrolebindings", is_global=True),
    _RBAC.kind("ClusterRole", "clusterroles", is_global=True),
    _RBAC.kind("RoleBinding", "rolebindings"),
    _RBAC.kind("Role", "roles"),
)
