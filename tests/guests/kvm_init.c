// The first process of a Linux guest, without a library: computes, forks, reads the clock, and powers off. Nothing in it
// depends on the processor's make: no CPUID, no RDTSC (the kernel is asked for the time).
typedef unsigned long u64;
typedef unsigned u32;
typedef unsigned char u8;

enum { kWrite = 1, kFork = 57, kExit = 60, kWait4 = 61, kGetPid = 39, kReboot = 169, kClockGetTime = 228, kPipe = 22, kRead = 0,
       kSyscalls = 200 };

static long call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 asm("r10") = d;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}

static void say(const char* text) {
  u64 n = 0;
  while (text[n]) ++n;
  call(kWrite, 1, (long)text, (long)n, 0);
}
static void say_number(const char* name, u64 v) {
  char line[17];
  for (int i = 15; i >= 0; --i, v >>= 4) line[i] = "0123456789abcdef"[v & 15];
  line[16] = 0;
  say(name);
  say(" ");
  say(line);
  say("\n");
}

static u32 numbers[20000];

static u64 sort(u64 seed) {
  const u64 n = sizeof numbers / sizeof numbers[0];
  for (u64 i = 0; i < n; ++i) numbers[i] = (u32)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33);
  for (u64 gap = n / 2; gap; gap /= 2) {
    for (u64 i = gap; i < n; ++i) {
      const u32 v = numbers[i];
      u64 j = i;
      for (; j >= gap && numbers[j - gap] > v; j -= gap) numbers[j] = numbers[j - gap];
      numbers[j] = v;
    }
  }
  u64 hash = 0;
  for (u64 i = 0; i < n; ++i) hash = hash * 31 + numbers[i];
  return hash;
}

static u64 floating(u64 rounds) {
  double x = 1.0, sum = 0;
  for (u64 i = 1; i <= rounds; ++i) {
    x = x * 1.0000001 + 1.0 / (double)i;
    sum += x;
  }
  union { double d; u64 bits; } result = {sum};
  return result.bits;
}

static u64 now(void) {
  long t[2] = {0, 0};
  call(kClockGetTime, 1, (long)t, 0, 0);
  return (u64)t[0] * 1000000000u + (u64)t[1];
}

static u64 hash_bytes(u64 rounds) {
  u64 hash = 14695981039346656037u;
  for (u64 i = 0; i < rounds; ++i) hash = (hash ^ (i & 0xff)) * 1099511628211u;
  return hash;
}

void start(void) {
  say("init runs\n");
  const u64 begin = now();
  say_number("sorted", sort(1));
  int pipe[2];
  call(kPipe, (long)pipe, 0, 0, 0);
  for (u64 child = 0; child < 3; ++child) {
    if (call(kFork, 0, 0, 0, 0) == 0) {
      const u64 result = child == 0 ? sort(2) : child == 1 ? floating(2000000) : hash_bytes(30000000);
      call(kWrite, pipe[1], (long)&result, sizeof result, 0);
      call(kExit, 0, 0, 0, 0);
    }
  }
  u64 sum = 0;
  for (u64 child = 0; child < 3; ++child) {
    u64 result = 0;
    call(kRead, pipe[0], (long)&result, sizeof result, 0);
    sum += result;
  }
  for (u64 child = 0; child < 3; ++child) call(kWait4, -1, 0, 0, 0);
  say_number("children", sum);
  u64 pids = 0;
  for (u64 i = 0; i < kSyscalls; ++i) pids += (u64)call(kGetPid, 0, 0, 0, 0);
  say_number("pids", pids);
  const u64 end = now();
  say_number("nanoseconds", end - begin);
  say("ALL OK\n");
  call(kReboot, 0xfee1dead, 672274793, 0x4321fedc, 0);
  for (;;) {
  }
}
// The stack is aligned as for a call.
asm(".globl _start\n_start:\n xor %ebp, %ebp\n and $-16, %rsp\n call start\n");
