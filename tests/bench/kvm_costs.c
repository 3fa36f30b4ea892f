// The first process of a Linux guest for scripts/bench-kvm, without a library: a fixed amount of computing, then of system calls, between lines on the
// console; as many times over as its argument, a digit, says. No CPUID and no RDTSC in it, so that it can be recorded on any host.
typedef unsigned long u64;

enum { kWrite = 1, kGetPid = 39, kReboot = 169 };
enum { kRounds = 250000000, kCalls = 10000 };

static long call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 asm("r10") = d;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}

// Long enough for the console to be flushed (it is looked after every 64 events).
static void mark(const char* text) {
  char line[80];
  for (unsigned i = 0; i < sizeof line - 1; ++i) line[i] = *text ? *text++ : '.';
  line[sizeof line - 1] = '\n';
  call(kWrite, 1, (long)line, sizeof line, 0);
}

static u64 compute(u64 times) {
  u64 hash = 14695981039346656037u;
  for (u64 i = 0; i < times * kRounds; ++i) hash = (hash ^ (i & 0xff)) * 1099511628211u;
  return hash;
}

static u64 calls(u64 times) {
  u64 sum = 0;
  for (u64 i = 0; i < times * kCalls; ++i) sum += (u64)call(kGetPid, 0, 0, 0, 0);
  return sum;
}

void start(const char* const* stack) {
  const u64 times = stack[0] > (const char*)1 ? (u64)(stack[2][0] - '0') : 1;
  mark("booted");
  volatile u64 result = compute(times);
  mark("computed");
  result = calls(times);
  mark("called");
  (void)result;
  call(kReboot, 0xfee1dead, 672274793, 0x4321fedc, 0);
  for (;;) {
  }
}
asm(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
