/**
 * What bubblewrap shows a program: the system's libraries and nothing that can be written to. Writable files would be
 * memory that no limit counts, and under /proc/sys the host's own settings, which are the program's to change where the
 * host's process is root.
 */
export const namespaces = [
  ...["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"],
  ...["--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"],
  ...["lib", "lib64", "bin"].flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]),
  ...["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"],
  ...["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--chdir", "/tmp"],
  ...["--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8"],
  ...["--ro-bind", process.execPath, "/run/node"],
  ...["/proc", "/dev", "/"].flatMap((path) => ["--remount-ro", path]),
  ...["--seccomp", "3"],
];

/**
 * The system calls that a sandboxed program is refused, as a classic BPF program (seccomp(2)): no new processes (threads
 * may be made), no sockets, no memory that RLIMIT_DATA does not count (shared mappings, stacks that grow, files in memory,
 * System V queues), and nothing that widens what the kernel exposes. RLIMIT_NPROC would not do: the kernel does not
 * enforce it for root, whatever the user namespace says.
 */
interface Architecture {
  readonly audit: number;
  readonly clone: number;
  readonly mmap: number;
  readonly refused: readonly number[];
}

// numbers: linux/arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
const architectures: Record<string, Architecture> = {
  x64: {
    audit: 0xc000003e,
    clone: 56,
    mmap: 9,
    // shmget socket fork vfork semget msgget ptrace pivot_root chroot mount umount2 add_key request_key keyctl unshare perf_event_open
    // open_by_handle_at setns process_vm_readv process_vm_writev bpf userfaultfd io_uring_setup mq_open memfd_create
    // memfd_secret
    refused: [
      29, 41, 57, 58, 64, 68, 101, 155, 161, 165, 166, 248, 249, 250, 272, 298, 304, 308, 310, 311, 321, 323, 425, 240,
      319, 447,
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    clone: 220,
    mmap: 222,
    // umount2 mount pivot_root chroot unshare ptrace add_key request_key keyctl perf_event_open open_by_handle_at
    // setns process_vm_readv process_vm_writev bpf userfaultfd io_uring_setup mq_open msgget semget shmget socket
    // memfd_create memfd_secret
    refused: [
      ...[39, 40, 41, 51, 97, 117, 217, 218, 219, 241, 265, 268, 270, 271, 280, 282, 425],
      ...[180, 186, 190, 194, 198, 279, 447],
    ],
  },
};

const load = 0x20; // BPF_LD | BPF_W | BPF_ABS
const jumpEqual = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const jumpAtLeast = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const jumpSet = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const give = 0x06; // BPF_RET | BPF_K
const allow = 0x7fff0000;
const kill = 0x80000000;
const notPermitted = 0x00050001; // SECCOMP_RET_ERRNO | EPERM
const notImplemented = 0x00050026; // SECCOMP_RET_ERRNO | ENOSYS
const clone3 = 435;
const cloneThread = 0x00010000;
const sharedOrGrowing = 0x0101; // MAP_SHARED | MAP_GROWSDOWN
const argument = (index: number): number => 16 + 8 * index; // its low half
const x32 = 0x40000000;

/** The filter for this processor, or `undefined` where its system call numbers are not known. */
export function seccompFilter(architecture: string = process.arch): Buffer | undefined {
  const table = architectures[architecture];
  if (!table) return undefined;
  const program: [code: number, whenTrue: number, whenFalse: number, operand: number][] = [
    [load, 0, 0, 4],
    [jumpEqual, 1, 0, table.audit],
    [give, 0, 0, kill],
    [load, 0, 0, 0],
    [jumpAtLeast, 0, 1, x32],
    [give, 0, 0, notPermitted],
    // glibc falls back from clone3, whose flags lie in memory, to clone, whose flags can be seen
    [jumpEqual, 0, 1, clone3],
    [give, 0, 0, notImplemented],
    ...table.refused.flatMap((number): typeof program => [
      [jumpEqual, 0, 1, number],
      [give, 0, 0, notPermitted],
    ]),
    [jumpEqual, 0, 4, table.mmap],
    [load, 0, 0, argument(3)],
    [jumpSet, 0, 1, sharedOrGrowing],
    [give, 0, 0, notPermitted],
    [give, 0, 0, allow],
    [jumpEqual, 0, 3, table.clone],
    [load, 0, 0, argument(0)],
    [jumpSet, 1, 0, cloneThread],
    [give, 0, 0, notPermitted],
    [give, 0, 0, allow],
  ];
  const buffer = Buffer.alloc(program.length * 8);
  for (const [index, [code, whenTrue, whenFalse, operand]] of program.entries()) {
    buffer.writeUInt16LE(code, index * 8);
    buffer.writeUInt8(whenTrue, index * 8 + 2);
    buffer.writeUInt8(whenFalse, index * 8 + 3);
    buffer.writeUInt32LE(operand >>> 0, index * 8 + 4);
  }
  return buffer;
}
