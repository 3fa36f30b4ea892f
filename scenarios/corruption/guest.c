// A small kernel with a bug that shows now and then: records lose their contents. docs/debugging.md finds out why.
//
// main() keeps records in blocks from a pool and checks each before it gives its block back. The timer interrupt notes the
// time in blocks from the same pool. Which record is used when depends on the seed on the command line (seed=N).
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { kBlocks = 160, kWords = 6, kSlots = 96, kNotes = 16, kRounds = 600000, kTimerHz = 2000 };

struct block {
  struct block* next;
  u64 word[kWords];
};

static struct block pool[kBlocks];
static struct block* free_list;
static struct block* record[kSlots];
static struct block* note[kNotes];
static volatile u64 ticks;

static void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static void print(const char* text) {
  for (; *text; ++text) out8(0x3f8, (u8)*text);
}

static void print_number(u64 number, unsigned base) {
  char digits[24];
  unsigned at = sizeof digits;
  digits[--at] = 0;
  do {
    digits[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number != 0);
  print(digits + at);
}

__attribute__((noreturn)) static void finish(u8 code) {
  out8(0xf4, code);
  for (;;) asm volatile("cli\n hlt");
}

// ---- The pool ----

static struct block* take(void) {
  struct block* block = free_list;
  free_list = block->next;
  return block;
}

static void give_back(struct block* block) {
  block->next = free_list;
  free_list = block;
}

// ---- The timer ----

struct frame;

static void tick(void) {
  struct block** oldest = &note[ticks % kNotes];
  if (*oldest) give_back(*oldest);
  struct block* block = take();
  for (unsigned i = 0; i < kWords; ++i) block->word[i] = ticks;
  *oldest = block;
  ++ticks;
}

__attribute__((interrupt)) static void timer_interrupt(struct frame* frame) {
  (void)frame;
  tick();
  out8(0x20, 0x20);  // end of interrupt
}

static void start_timer(void) {
  static struct {
    u16 offset_low, selector, attributes, offset_middle;
    u32 offset_high, zero;
  } idt[33];
  static struct __attribute__((packed)) {
    u16 limit;
    void* base;
  } pointer = {sizeof idt - 1, idt};
  const u64 handler = (u64)timer_interrupt;
  idt[32].offset_low = (u16)handler;
  idt[32].selector = 8;
  idt[32].attributes = 0x8e00;
  idt[32].offset_middle = (u16)(handler >> 16);
  idt[32].offset_high = (u32)(handler >> 32);
  asm volatile("lidt %0" : : "m"(pointer));
  // The interrupt controllers: vectors from 32, and only the timer's line.
  static const u8 setup[] = {0x11, 32, 4, 1, 0xfe}, setup2[] = {0x11, 40, 2, 1, 0xff};
  for (unsigned i = 0; i < 5; ++i) {
    out8(i ? 0x21 : 0x20, setup[i]);
    out8(i ? 0xa1 : 0xa0, setup2[i]);
  }
  out8(0x43, 0x34);
  out8(0x40, (u8)(1193182 / kTimerHz));
  out8(0x40, (u8)(1193182 / kTimerHz >> 8));
  asm volatile("sti");
}

// ---- The records ----

static u64 seed_of(const char* line) {
  u64 seed = 1;
  for (; *line; ++line) {
    if (line[0] == 's' && line[1] == 'e' && line[2] == 'e' && line[3] == 'd' && line[4] == '=') {
      seed = 0;
      for (line += 5; *line >= '0' && *line <= '9'; ++line) seed = seed * 10 + (u64)(*line - '0');
      break;
    }
  }
  return seed;
}

static u64 draw(u64* state) {
  *state = *state * 6364136223846793005ul + 1442695040888963407ul;
  return *state >> 33;
}

static void damaged(u64 slot, unsigned word, u64 wanted) {
  print("record ");
  print_number(slot, 10);
  print(" is damaged: word ");
  print_number(word, 10);
  print(" at 0x");
  print_number((u64)&record[slot]->word[word], 16);
  print(" is 0x");
  print_number(record[slot]->word[word], 16);
  print(", not 0x");
  print_number(wanted, 16);
  print("\n");
  finish(1);
}

static void check(u64 slot) {
  for (unsigned i = 0; i < kWords; ++i) {
    const u64 wanted = slot << 32 | i;
    if (record[slot]->word[i] != wanted) damaged(slot, i, wanted);
  }
}

static void fill(u64 slot) {
  record[slot] = take();
  for (unsigned i = 0; i < kWords; ++i) record[slot]->word[i] = slot << 32 | i;
}

int main(const u32* boot_information) {
  // Multiboot 0.6.96, 3.3: bit 2 of the flags says that there is a command line, at offset 16.
  u64 state = seed_of(boot_information[0] & 4 ? (const char*)(u64)boot_information[4] : "");
  for (unsigned i = 0; i < kBlocks; ++i) give_back(&pool[i]);
  start_timer();
  for (u64 round = 0; round < kRounds; ++round) {
    const u64 slot = draw(&state) % kSlots;
    if (record[slot]) {
      check(slot);
      // The timer uses the pool, too.
      asm volatile("cli");
      give_back(record[slot]);
      asm volatile("sti");
      record[slot] = 0;
    } else {
      fill(slot);
    }
  }
  print("all records were right\n");
  finish(0);
}
