"""Certificate requests: approves what kubelets ask for, signs what is approved, clears what is old.

Source: pkg/controller/certificates/{approver/sarapprove,signer/signer,cleaner/cleaner}.go.
"""

import base64
import datetime
import logging
from typing import Any, Never

from cryptography import x509

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers import certificate_rules as rules
from nanokube.controllers.env import Env
from nanokube.kit import pki

log = logging.getLogger(__name__)

REQUESTS = resources.get("certificatesigningrequests.certificates.k8s.io")
NODES = resources.get("nodes")
ACCESS_REVIEWS = resources.get("subjectaccessreviews.authorization.k8s.io")


class CertificatesController:
    """Brings each request one step on: approved, signed or failed, gone."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._requests = env.informers.of(REQUESTS)
        self._nodes = env.informers.of(NODES)
        self.runner = runner.Runner("certificates", self.reconcile, workers=1)
        self.runner.watches(self._requests)
        self.runner.watches(self._nodes, self._waiting_for)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Do what a request's state asks for; come back when it is old enough to go."""
        csr = self._requests.get(key)
        if csr is None or objects.is_deleting(csr):
            return None
        left_s = rules.kept_for_s(csr, self._env.clock.time())
        try:
            if left_s <= 0:
                await self._env.client.delete(REQUESTS, key, uid=objects.uid(csr))
                return None
            await self._advance(csr)
        except errors.ApiError as err:
            if err.code not in (404, 409):  # somebody else changed it: the cache will show
                raise
        return left_s

    async def _advance(self, csr: Object) -> None:
        signer = objects.spec(csr).get("signerName")
        if not objects.conditions(csr):
            if signer == rules.KUBELET_CLIENT:
                await self._approve(csr)
            elif signer == rules.KUBELET_SERVING:
                await self._approve_serving(csr)
            return
        is_signed = bool(objects.status(csr).get("certificate"))
        is_due = rules.is_approved(csr) and not rules.is_failed(csr) and not is_signed
        if is_due and signer in rules.SIGNERS and self._env.options.authority is not None:
            await self._sign(csr, self._env.options.authority)

    async def _approve(self, csr: Object) -> None:
        """Approve a kubelet's client certificate, if its requester may have one."""
        try:
            request = rules.parse(csr)
        except ValueError:
            return
        spec = objects.spec(csr)
        if rules.refusal(rules.KUBELET_CLIENT, request, spec.get("usages") or ()):
            return
        is_own = spec.get("username") == rules.common_name(request)
        for subresource, about in (("selfnodeclient", "self kubelet"), ("nodeclient", "kubelet")):
            if subresource == "selfnodeclient" and not is_own:
                continue
            if await self._may(spec, subresource):
                message = f"Auto approving {about} client certificate after SubjectAccessReview."
                await self._conclude(csr, "Approved", "AutoApproved", message, subresource="approval")
                return

    async def _approve_serving(self, csr: Object) -> None:
        """Approve a kubelet's serving certificate, once its Node has the addresses it is for."""
        try:
            cause = rules.serving_refusal(csr, self._nodes.list())
        except ValueError as err:
            cause = str(err)
        if cause:
            log.debug("serving certificate not approved: request=%s cause=%s", objects.name(csr), cause)
            return
        message = "Auto approving kubelet serving certificate for the addresses of its Node."
        await self._conclude(csr, "Approved", "AutoApproved", message, subresource="approval")

    def _waiting_for(self, node: Object) -> list[str]:
        """Name the requests that a Node's addresses may decide."""
        user = rules.NODE_PREFIX + objects.name(node)
        return [
            objects.name(csr)
            for csr in self._requests.list()
            if not objects.conditions(csr)
            and objects.spec(csr).get("signerName") == rules.KUBELET_SERVING
            and objects.spec(csr).get("username") == user
        ]

    async def _may(self, spec: Object, subresource: str) -> bool:
        asked = {
            "group": "certificates.k8s.io",
            "resource": "certificatesigningrequests",
            "verb": "create",
            "version": "*",
            "subresource": subresource,
        }
        who = {key: spec[key] for key in ("groups", "uid", "extra") if spec.get(key)}
        review = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"user": spec.get("username") or "", **who, "resourceAttributes": asked},
        }
        answer = await self._env.client.create(ACCESS_REVIEWS, review)
        return bool(objects.status(answer).get("allowed"))

    async def _sign(self, csr: Object, authority: pki.Authority) -> None:
        spec = objects.spec(csr)
        usages = spec.get("usages") or ()
        try:
            request = rules.parse(csr)
            cause = rules.refusal(spec["signerName"], request, usages)
            if cause:
                await self._conclude(csr, "Failed", "SignerValidationFailure", cause, subresource="status")
                return
            now = datetime.datetime.fromtimestamp(self._env.clock.time(), datetime.UTC)
            lifetime = datetime.timedelta(seconds=rules.lifetime_s(csr))
            certificate = authority.sign(request, usages, lifetime, now)
        except (ValueError, x509.InvalidVersion) as err:
            log.warning("cannot sign certificate: request=%s: %s", objects.name(csr), err)
            return
        status = {**objects.status(csr), "certificate": base64.b64encode(certificate).decode()}
        await self._env.client.update(REQUESTS, {**csr, "status": status}, subresource="status")
        log.info("certificate signed: request=%s signer=%s", objects.name(csr), spec["signerName"])

    async def _conclude(self, csr: Object, kind: str, reason: str, message: str, *, subresource: str) -> None:
        now = timestamps.format_time(self._env.clock.time())
        condition: dict[str, Any] = {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastUpdateTime": now,
        }
        status = {**objects.status(csr), "conditions": [*objects.conditions(csr), condition]}
        await self._env.client.update(REQUESTS, {**csr, "status": status}, subresource=subresource)
