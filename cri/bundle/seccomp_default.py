"""The RuntimeDefault seccomp profile: everything not listed fails with EPERM. Data and one pure function.

The list is of system calls that programs without special rights use; what reaches other namespaces, the
kernel's modules, keys, tracing, mounts or io_uring is absent, or granted with the capability it needs anyway.
Source: seccomp(2), syscalls(2), capabilities(7).
"""

from __future__ import annotations

import platform
from typing import Any

from cri.bundle import capabilities

_FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl lchown lchown32 lgetxattr link linkat
listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod
mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2
read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir
sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statmount listmount statx
symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime
utimensat utimensat_time64 utimes vmsplice write writev cachestat
"""
_PROCESSES = """
alarm arch_prctl capget capset exit exit_group execve execveat fork futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid getegid32 geteuid
geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32
ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
lsm_get_self_attr lsm_list_modules lsm_set_self_attr membarrier nice pause pidfd_open pidfd_send_signal
prctl prlimit64 process_mrelease restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address
setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
setsid setuid setuid32 sigaltstack signal sigpending sigprocmask sigreturn sigaction sigsuspend sysinfo
tgkill time times tkill ugetrlimit uname vfork wait4 waitid waitpid
"""
_MEMORY = """
brk madvise memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mremap
mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise remap_file_pages
map_shadow_stack
"""
_TALK = """
accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 getpeername getsockname getsockopt ipc listen mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
msgctl msgget msgrcv msgsnd _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 recv
recvfrom recvmmsg recvmmsg_time64 recvmsg select semctl semget semop semtimedop semtimedop_time64 send
sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown signalfd signalfd4 socketcall
socketpair
"""
_TIME = """
adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep timer_create timer_delete timer_getoverrun
timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64
"""
_BY_CAPABILITY = {
    "DAC_READ_SEARCH": "open_by_handle_at",
    "SYS_ADMIN": """bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount
        mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare fanotify_mark""",
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace",
    "SYS_RAWIO": "iopl ioperm",
    "SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "SYS_TTY_CONFIG": "vhangup",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node move_pages migrate_pages",
    "SYSLOG": "syslog",
    "BPF": "bpf",
    "PERFMON": "perf_event_open",
}
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW*: sched.h
_ENOSYS = 38
_AF_VSOCK = 40
_PERSONALITIES = (
    0x0,
    0x8,
    0x20000,
    0x20008,
    0xFFFFFFFF,
)  # Linux, 32 bit, either without randomization, query


def profile(granted: int) -> dict[str, Any]:
    """The profile, in runtime-spec form, for a container with the capability mask granted."""
    names = [*_FILES.split(), *_PROCESSES.split(), *_MEMORY.split(), *_TALK.split(), *_TIME.split()]
    for capability, more in _BY_CAPABILITY.items():
        if granted >> capabilities.NUMBERS[capability] & 1:
            names += more.split()
    rules: list[dict[str, Any]] = [
        {"names": list(dict.fromkeys(names)), "action": "SCMP_ACT_ALLOW"},
        _allow("personality", [_equals(0, value) for value in _PERSONALITIES]),
        # hypervisor sockets reach beyond the network namespace
        _allow("socket", [{"index": 0, "value": _AF_VSOCK, "op": "SCMP_CMP_NE"}]),
        # tracing of own children is safe since 4.8, where a filter is checked after the tracer ran
        _allow("ptrace", []),
    ]
    if not granted >> capabilities.NUMBERS["SYS_ADMIN"] & 1:
        without = {"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append(_allow("clone", [without]))
        # its flags are behind a pointer that no filter can read: programs fall back to clone
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86"] if platform.machine() == "x86_64" else [],
        "syscalls": rules,
    }


def _allow(name: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": tests}


def _equals(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}
