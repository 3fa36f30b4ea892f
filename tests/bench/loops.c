// The loops that scripts/bench times inside a guest. Run as /init (or by it); prints one line before and after each loop, with the time-stamp counter, which
// counts instructions in Rondo and under QEMU's -icount shift=0.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t tsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static volatile uint64_t sink;
static uint64_t random_state = 88172645463325252ull;
static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void crc(void) {
  static uint32_t table[256];
  static uint8_t data[65536];
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  for (unsigned i = 0; i < sizeof data; ++i) data[i] = (uint8_t)next_random();
  uint32_t c = ~0u;
  for (int round = 0; round < 1000; ++round)
    for (unsigned i = 0; i < sizeof data; ++i) c = table[(c ^ data[i]) & 0xff] ^ (c >> 8);
  sink = c;
}

// A bytecode interpreter with a switch.
static void bytecode(void) {
  enum { ADD, SUB, XOR, SHIFT, INC, LOAD, STORE, LOOP };
  static const uint8_t program[] = {LOAD, ADD, XOR, INC, SHIFT, SUB, STORE, INC, XOR, ADD, LOOP};
  uint64_t a = 1, b = 3, memory[16] = {0}, count = 0;
  for (unsigned pc = 0;;) {
    switch (program[pc++]) {
      case ADD: a += b; break;
      case SUB: a -= b >> 1; break;
      case XOR: a ^= b << 3; break;
      case SHIFT: b = b << 1 | b >> 63; break;
      case INC: ++b; break;
      case LOAD: a = memory[b & 15]; break;
      case STORE: memory[a & 15] = b; break;
      case LOOP:
        if (++count == 5000000) {
          sink = a;
          return;
        }
        pc = 0;
        break;
    }
  }
}

static void chase(void) {
  enum { N = 1 << 18 };
  uint32_t* next = malloc(N * sizeof *next);
  uint32_t* order = malloc(N * sizeof *order);
  for (uint32_t i = 0; i < N; ++i) order[i] = i;
  for (uint32_t i = N - 1; i > 0; --i) {
    uint32_t j = (uint32_t)(next_random() % (i + 1)), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (uint32_t i = 0; i < N; ++i) next[order[i]] = order[(i + 1) % N];
  uint32_t at = 0;
  for (int i = 0; i < 60000000; ++i) at = next[at];
  sink = at;
  free(next);
  free(order);
}

static int compare(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return x < y ? -1 : x > y;
}
static void sort(void) {
  enum { N = 300000 };
  uint32_t* v = malloc(N * sizeof *v);
  for (int round = 0; round < 1; ++round) {
    for (int i = 0; i < N; ++i) v[i] = (uint32_t)next_random();
    qsort(v, N, sizeof *v, compare);
  }
  sink = v[N / 2];
  free(v);
}

static void floating(void) {
  double x = 0.5, y = 1.25, sum = 0;
  for (int i = 0; i < 30000000; ++i) {
    x = x * 1.0000001 + 0.0000003;
    y = y / 1.0000002 - 0.0000001;
    sum += x * y;
  }
  sink = (uint64_t)sum;
}

static void getppid_calls(void) {
  for (int i = 0; i < 1000000; ++i) sink = (uint64_t)syscall(SYS_getppid);
}

static void faults(void) {
  enum { PAGES = 4096 };
  for (int round = 0; round < 25; ++round) {
    char* p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PAGES; ++i) p[i * 4096] = 1;
    munmap(p, PAGES * 4096);
  }
}

static void forks(void) {
  for (int i = 0; i < 1000; ++i) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    int status;
    waitpid(pid, &status, 0);
  }
}

static void pipes(void) {
  int fd[2];
  static char buffer[4096];
  if (pipe(fd)) return;
  for (int i = 0; i < 200000; ++i) {
    if (write(fd[1], buffer, sizeof buffer) != sizeof buffer) return;
    if (read(fd[0], buffer, sizeof buffer) != sizeof buffer) return;
  }
  close(fd[0]);
  close(fd[1]);
}

static const struct {
  const char* name;
  void (*run)(void);
} loops[] = {{"crc", crc},          {"switch", bytecode},         {"chase", chase},   {"qsort", sort},  {"fp", floating},
             {"getppid", getppid_calls}, {"faults", faults}, {"fork", forks}, {"pipe", pipes}};

// The loop that an argument names. Linux gives an init its own unknown parameters, too: they name none.
static const char* wanted(int argc, char** argv) {
  for (int a = 1; a < argc; ++a)
    for (unsigned i = 0; i < sizeof loops / sizeof *loops; ++i)
      if (strcmp(argv[a], loops[i].name) == 0) return argv[a];
  return NULL;
}

int main(int argc, char** argv) {
  // As /init: console output, no other process.
  if (getpid() == 1) {
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    const int console = open("/dev/console", O_RDWR);
    for (int i = 0; console >= 0 && i < 3; ++i) dup2(console, i);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char* only = wanted(argc, argv);
  for (unsigned i = 0; i < sizeof loops / sizeof *loops; ++i) {
    if (only && strcmp(only, loops[i].name) != 0) continue;
    printf("BEGIN %s\n", loops[i].name);
    const uint64_t start = tsc();
    loops[i].run();
    const uint64_t end = tsc();
    printf("END %s %llu\n", loops[i].name, (unsigned long long)(end - start));
  }
  if (getpid() == 1) {
    sync();
    reboot(RB_POWER_OFF);
  }
  return 0;
}
