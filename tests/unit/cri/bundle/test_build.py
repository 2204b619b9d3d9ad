"""From CRI messages to a Spec."""

from __future__ import annotations

from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import build, capabilities, spec

IMAGE = {"config": {"Entrypoint": ["/e"], "Cmd": ["c"], "Env": ["A=1", "PATH=/p"], "WorkingDir": "/w"}}
NODE, POD, CONTAINER, TARGET = (pb.NamespaceMode.Value(n) for n in ("NODE", "POD", "CONTAINER", "TARGET"))


def built(container: pb.ContainerConfig, image: Any = IMAGE, **changes: Any) -> spec.Spec:
    context = build.Context("c", "s", spec.Rootfs(("/l",), "/u", "/w"), "g/c", pid_holder="s", **changes)
    return build.build(container, pb.PodSandboxConfig(), image, context)


def secure(**fields: Any) -> pb.ContainerConfig:
    security = pb.LinuxContainerSecurityContext(**fields)
    return pb.ContainerConfig(linux=pb.LinuxContainerConfig(security_context=security))


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], [], ("/e", "c")),
        ([], ["x"], ("/e", "x")),
        (["/b"], [], ("/b",)),
        (["/b"], ["x"], ("/b", "x")),
    ],
)
def test_command_and_args(command: list[str], args: list[str], expected: tuple[str, ...]) -> None:
    assert built(pb.ContainerConfig(command=command, args=args)).process.argv == expected


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(build.BuildError, match="no command"):
        built(pb.ContainerConfig(), {"config": {}})


def test_environment_of_the_pod_wins() -> None:
    container = pb.ContainerConfig(envs=[pb.KeyValue(key="A", value=b"2")], tty=True)
    assert built(container, hostname="h").process.env == (
        "A=2",
        "PATH=/p",
        "HOSTNAME=h",
        "TERM=xterm",
        "HOME=/",
    )


def test_a_home_with_control_characters_is_not_used() -> None:
    passwd = b"root:x:0:0::/r\x01:/bin/sh\n"
    assert "HOME=/" in built(pb.ContainerConfig(), passwd=passwd).process.env


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], capabilities.DEFAULT),
        (["NET_ADMIN"], [], capabilities.DEFAULT | 1 << 12),
        ([], ["CAP_NET_RAW"], capabilities.DEFAULT & ~(1 << 13)),
        (["ALL"], [], capabilities.ALL),
        ([], ["ALL"], 0),
        (["chown"], ["ALL"], 1),
    ],
)
def test_capabilities(add: list[str], drop: list[str], expected: int) -> None:
    caps = built(secure(capabilities=pb.Capability(add_capabilities=add, drop_capabilities=drop)))
    found = caps.process.capabilities
    assert (found.bounding, found.permitted, found.effective) == (expected,) * 3
    assert (found.inheritable, found.ambient) == (0, 0)


def test_privileged_lifts_every_restriction() -> None:
    profile = pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)
    made = built(secure(privileged=True, seccomp=profile))
    assert made.process.capabilities.bounding == capabilities.ALL
    assert (made.process.seccomp, made.masked_paths, made.readonly_paths) == (b"", (), ())
    assert made.host_devices
    assert made.writable_sys


@pytest.mark.parametrize(
    ("mode", "target", "expected"),
    [
        (CONTAINER, "", ("own", "")),
        (POD, "", ("container", "s")),
        (NODE, "", ("host", "")),
        (TARGET, "other", ("container", "other")),
    ],
)
def test_pid_modes(mode: Any, target: str, expected: tuple[str, str]) -> None:
    found = built(secure(namespace_options=pb.NamespaceOption(pid=mode, target_id=target))).namespaces
    assert (found.pid, found.pid_target) == expected


def test_mounts_are_in_order_of_depth_and_replace_the_sandboxs() -> None:
    container = pb.ContainerConfig(
        mounts=[
            pb.Mount(container_path="/a/b/", host_path="/h1", readonly=True),
            pb.Mount(container_path="/a", host_path="/h2"),
            pb.Mount(container_path="/etc/hosts", host_path="/h3"),
        ]
    )
    extra = (spec.Mount("/etc/hosts", "/s1"), spec.Mount("/etc/hostname", "/s2"))
    found = built(container, extra_mounts=extra).mounts
    assert [(m.target, m.source) for m in found] == [
        ("/etc/hostname", "/s2"),
        ("/a", "/h2"),
        ("/a/b", "/h1"),
        ("/etc/hosts", "/h3"),
    ]
    assert found[2].readonly


@pytest.mark.parametrize(
    "mount",
    [
        pb.Mount(container_path="/", host_path="/h"),
        pb.Mount(container_path="/a", host_path="relative"),
        pb.Mount(container_path="/a", host_path="/h", recursive_read_only=True),
        pb.Mount(
            container_path="/a",
            host_path="/h",
            readonly=True,
            recursive_read_only=True,
            propagation=pb.PROPAGATION_BIDIRECTIONAL,
        ),
        pb.Mount(container_path="/a", image=pb.ImageSpec(image="x")),
    ],
)
def test_mounts_that_are_refused(mount: pb.Mount) -> None:
    with pytest.raises(build.BuildError, match="cannot mount"):
        built(pb.ContainerConfig(mounts=[mount]))


def test_seccomp_profiles() -> None:
    def program(**fields: Any) -> bytes:
        profile = pb.SecurityProfile(**fields)
        loaded = {"load_profile": lambda path: b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}'}
        return built(secure(seccomp=profile), **loaded).process.seccomp

    kinds = pb.SecurityProfile
    assert built(pb.ContainerConfig()).process.seccomp == b""
    assert program(profile_type=kinds.Unconfined) == b""
    assert len(program(profile_type=kinds.RuntimeDefault)) % 8 == 0
    assert program(profile_type=kinds.RuntimeDefault) != program(
        profile_type=kinds.Localhost, localhost_ref="/p"
    )


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, 15),
        ({"StopSignal": "SIGQUIT"}, 3),
        ({"StopSignal": "usr1"}, 10),
        ({"StopSignal": "9"}, 9),
        ({"StopSignal": "SIGRTMIN+3"}, 37),
        ({"StopSignal": "SIGRTMAX-1"}, 63),
        ({"StopSignal": "SIGRTMINPLUS3"}, 37),
        # what is no signal asks for SIGTERM
        ({"StopSignal": "SIG_DFL"}, 15),
        ({"StopSignal": "SIGRTMIN+99"}, 15),
        ({"StopSignal": "99"}, 15),
        ({"StopSignal": "\u00b2"}, 15),
        ({"StopSignal": "9" * 9999}, 15),
    ],
)
def test_stop_signal_of_the_image(image: dict[str, str], expected: int) -> None:
    assert build.stop_signal(pb.ContainerConfig(), image) == expected


def test_stop_signal_of_the_pod_wins() -> None:
    container = pb.ContainerConfig(stop_signal="SIGUSR1")
    assert build.stop_signal(container, {"StopSignal": "SIGQUIT"}) == 10


def test_the_wire_form_is_plain() -> None:
    import marshal

    wire = spec.to_wire(built(pb.ContainerConfig()))
    assert marshal.loads(marshal.dumps(wire)) == wire
    assert wire["process"]["user"] == {"uid": 0, "gid": 0, "groups": (0,)}


def test_an_apparmor_profile_that_cannot_be_given_is_refused() -> None:
    with pytest.raises(build.BuildError, match="AppArmor"):
        built(secure(apparmor_profile="localhost/nanokube-test-nosuch"))


def test_only_a_pod_with_a_user_namespace_may_see_all_of_proc() -> None:
    mapping = ((0, 1000, 10),)
    assert built(pb.ContainerConfig()).masked_paths == build.MASKED_PATHS
    mapped = built(pb.ContainerConfig(), userns="/ns/user", uid_map=mapping, gid_map=mapping)
    assert (mapped.masked_paths, mapped.readonly_paths) == ((), ())


def test_ids_outside_the_user_namespace_are_refused() -> None:
    mapping = ((0, 1000, 10),)
    with pytest.raises(build.BuildError, match="not mapped"):
        built(
            secure(run_as_user=pb.Int64Value(value=10)), userns="/ns/user", uid_map=mapping, gid_map=mapping
        )
    with pytest.raises(build.BuildError, match="PID namespace"):
        built(secure(namespace_options=pb.NamespaceOption(pid=pb.NODE)), userns="/ns/user")


def test_volumes_are_mapped_as_the_pod_is_or_refused() -> None:
    mapping = ((0, 1000, 10),)
    for host, expected in ((1000, True), (2000, False)):
        ids = [pb.IDMapping(container_id=0, host_id=host, length=10)]
        mount = pb.Mount(container_path="/v", host_path="/h", uidMappings=ids, gidMappings=ids)
        wanted = pb.ContainerConfig(mounts=[mount])
        if expected:
            assert built(wanted, userns="/ns/user", uid_map=mapping, gid_map=mapping).mounts[0].idmapped
        else:
            with pytest.raises(build.BuildError, match="mappings differ"):
                built(wanted, userns="/ns/user", uid_map=mapping, gid_map=mapping)


@pytest.mark.parametrize(
    "config",
    [
        "text",
        {"WorkingDir": 5},
        {"Entrypoint": "/bin/sh"},
        {"Cmd": [1]},
        {"Env": {"A": "B"}},
        {"User": 0.5},
        {"StopSignal": ["SIGTERM"]},
        {"Entrypoint": ["/e"], "WorkingDir": "/a\0b"},
        {"Entrypoint": ["/e"], "User": "--1"},
        {"Entrypoint": ["/e"], "User": "9" * 9999},
        {"Entrypoint": ["/e"], "User": "4294967296"},
        {"Entrypoint": ["/e"], "User": "0:-1"},
        {"Entrypoint": ["/e\0"]},
    ],
)
def test_a_hostile_image_configuration_is_refused(config: Any) -> None:
    with pytest.raises(build.BuildError):
        built(pb.ContainerConfig(), {"config": config})


def test_a_working_directory_begins_at_the_root() -> None:
    image = {"config": {"Entrypoint": ["/e"], "WorkingDir": "srv"}}
    assert built(pb.ContainerConfig(), image).process.cwd == "/srv"


def test_huge_pages_and_files_of_cgroup_v2() -> None:
    pages = [pb.HugepageLimit(page_size="2MB", limit=4 << 20)]
    wanted = pb.LinuxContainerResources(hugepage_limits=pages, unified={"memory.oom.group": "1"})
    made = build.resources(wanted)
    assert made.hugepage_limits == (("2MB", 4 << 20),)
    assert made.unified == (("memory.oom.group", "1"),)


@pytest.mark.parametrize(
    "fields",
    [
        {"unified": {"cgroup.procs": "1"}},
        {"unified": {"memory.high/../../x": "1"}},
        {"unified": {"memory": "1"}},
        {"hugepage_limits": [pb.HugepageLimit(page_size="../2MB")]},
    ],
)
def test_resources_that_name_other_files_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(build.BuildError, match="cannot limit resources"):
        build.resources(pb.LinuxContainerResources(**fields))


@pytest.mark.parametrize(
    ("path", "like"),
    [
        ("runtime/default", {"profile_type": pb.SecurityProfile.RuntimeDefault}),
        ("unconfined", {"profile_type": pb.SecurityProfile.Unconfined}),
        ("localhost//p", {"profile_type": pb.SecurityProfile.Localhost, "localhost_ref": "/p"}),
    ],
)
def test_the_deprecated_seccomp_path_is_heard(path: str, like: dict[str, Any]) -> None:
    loaded = {"load_profile": lambda path: b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}'}
    old = built(secure(seccomp_profile_path=path), **loaded).process.seccomp
    assert old == built(secure(seccomp=pb.SecurityProfile(**like)), **loaded).process.seccomp


@pytest.mark.parametrize(
    "fields",
    [
        {"seccomp_profile_path": "strict"},
        {"seccomp": pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="p.json")},
        {"seccomp": pb.SecurityProfile(profile_type=99, localhost_ref="/p")},  # type: ignore[arg-type]
    ],
)
def test_seccomp_profiles_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(build.BuildError, match="cannot load"):
        built(secure(**fields), load_profile=lambda path: b'{"defaultAction":"SCMP_ACT_ALLOW"}')


def test_a_device_has_its_node_and_permissions() -> None:
    made = built(pb.ContainerConfig(devices=[pb.Device(host_path="/dev/null", permissions="mr")])).devices
    assert made == (spec.Device("/dev/null", "/dev/null", "mr"),)


@pytest.mark.parametrize(
    "device",
    [
        pb.Device(),
        pb.Device(host_path="dev/null"),
        pb.Device(host_path="/dev/null", container_path="null"),
        pb.Device(host_path="/dev/null", container_path="/dev/\0"),
        pb.Device(host_path="/dev/null", permissions="x"),
        pb.Device(host_path="/dev/null", permissions="rr"),  # a sum of bits would be another permission
        pb.Device(host_path="/dev/null", permissions="r\na *:* rwm"),
    ],
)
def test_devices_that_are_refused(device: pb.Device) -> None:
    with pytest.raises(build.BuildError, match="cannot give device"):
        built(pb.ContainerConfig(devices=[device]))


def test_a_device_of_an_interface_that_is_not_here_is_refused() -> None:
    with pytest.raises(build.BuildError, match="no CDI"):
        built(pb.ContainerConfig(CDI_devices=[pb.CDIDevice(name="vendor.com/gpu=0")]))


def test_a_path_is_masked_once() -> None:
    assert built(secure(masked_paths=["/etc", "/etc/", "/b", "/etc"])).masked_paths == ("/etc", "/b")
