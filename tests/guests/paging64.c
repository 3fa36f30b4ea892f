// 4-level paging: rights, error codes, accessed and dirty bits, page sizes, SMEP, SMAP, NX, and that changes of the tables show at once.
#include "tests/guests/guest64.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
static const u64 NX = 1ull << 63;

static u64 table2[512] __attribute__((aligned(4096)));  // maps kWindow with 4 KB pages
static u64 directory[512] __attribute__((aligned(4096)));
static u64 pointers[512] __attribute__((aligned(4096)));
static u8 frame[2][4096] __attribute__((aligned(4096)));
#define kWindow 0x700000000000ull /* its own PML4 entry */

static void map(u64 flags) {
  table2[0] = (u64)frame[0] | flags;
  invlpg((void*)kWindow);
}
static u64 pte(void) { return table2[0] & (NX | 0xfff); }

#define READ TRY("mov 64(%0), %%al", "r"(kWindow))
#define WRITE TRY("mov %%al, 64(%0)", "r"(kWindow))
#define FETCH TRY("call *%0", "r"(kWindow))
#define USER_READ TRY_USER("mov 64(%[p_]), %%al", [p_] "r"(kWindow))
#define USER_WRITE TRY_USER("mov %%al, 64(%[p_])", [p_] "r"(kWindow))
#define USER_FETCH TRY_USER("call *%[p_]", [p_] "r"(kWindow))
#define OK(name, attempt) EXPECT(name, NONE, 0xbad, attempt)
#define USER_OK(name, attempt) EXPECT(name, 0x80, 0, attempt)

static void set_up(void) {
  pml4[kWindow >> 39 & 511] = (u64)pointers | P | W | U;
  pointers[0] = (u64)directory | P | W | U;
  directory[0] = (u64)table2 | P | W | U;
  frame[0][0] = frame[1][0] = 0xc3;  // ret
}

static void test_rights(void) {
  map(0);
  EXPECT("absent read", PF, 0, READ);
  check("cr2", trap.cr2, kWindow + 64);
  EXPECT("absent user write", PF, 6, USER_WRITE);
  EXPECT("absent user fetch", PF, 0x14, USER_FETCH);
  map(P | W);
  OK("supervisor read", READ);
  OK("supervisor write", WRITE);
  EXPECT("user reads a supervisor page", PF, 5, USER_READ);
  EXPECT("user writes a supervisor page", PF, 7, USER_WRITE);
  EXPECT("user fetches a supervisor page", PF, 0x15, USER_FETCH);
  map(P | U);
  OK("read-only read", READ);
  EXPECT("write to read-only", PF, 3, WRITE);
  EXPECT("user writes to read-only", PF, 7, USER_WRITE);
  WRITE_CR(0, READ_CR(0) & ~(1ull << 16));
  OK("write to read-only without WP", WRITE);
  EXPECT("user writes to read-only without WP", PF, 7, USER_WRITE);
  WRITE_CR(0, READ_CR(0) | 1 << 16);
  EXPECT("write to read-only with WP again", PF, 3, WRITE);
  map(P | W | U | NX);
  OK("NX read", READ);
  EXPECT("NX fetch", PF, 0x11, FETCH);
  EXPECT("NX user fetch", PF, 0x15, USER_FETCH);
  map(P | W | U);
  USER_OK("user read", USER_READ);
  USER_OK("user write", USER_WRITE);
  USER_OK("user fetch", USER_FETCH);
  // Rights of the upper levels.
  directory[0] &= ~(u64)W;
  invlpg((void*)kWindow);
  EXPECT("read-only directory", PF, 3, WRITE);
  directory[0] = (u64)table2 | P | W;
  invlpg((void*)kWindow);
  EXPECT("supervisor directory", PF, 5, USER_READ);
  directory[0] = (u64)table2 | P | W | U | NX;
  invlpg((void*)kWindow);
  EXPECT("NX directory", PF, 0x11, FETCH);
  directory[0] = (u64)table2 | P | W | U;
  pointers[0] &= ~(u64)P;
  invlpg((void*)kWindow);
  EXPECT("absent directory", PF, 0, READ);
  pointers[0] |= P;
  // Reserved bits.
  map(P | W | U | 1ull << 51);
  EXPECT_STRICT("reserved bit", PF, 9, READ);
  EXPECT_STRICT("reserved bit, user write", PF, 0xf, USER_WRITE);
  map(P | W | U);
  pml4[kWindow >> 39 & 511] |= PS;
  invlpg((void*)kWindow);
  EXPECT_STRICT("PS in the PML4", PF, 9, READ);
  pml4[kWindow >> 39 & 511] &= ~(u64)PS;
  directory[0] = 0x2000 | P | W | U | PS;
  invlpg((void*)kWindow);
  EXPECT_STRICT("misaligned 2 MB page", PF, 9, READ);
  directory[0] = (u64)table2 | P | W | U;
  invlpg((void*)kWindow);
}

static void test_accessed_dirty(void) {
  map(P | W | U);
  directory[0] &= ~(u64)A;
  pointers[0] &= ~(u64)A;
  pml4[kWindow >> 39 & 511] &= ~(u64)A;
  READ;
  check("accessed by a read", pte(), P | W | U | A);
  check("accessed directory", directory[0] & 0xfff, P | W | U | A);
  check("accessed pointer", pointers[0] & 0xfff, P | W | U | A);
  check("accessed PML4", pml4[kWindow >> 39 & 511] & 0xfff, P | W | U | A);
  WRITE;
  check("dirty by a write", pte(), P | W | U | A | D);
  map(P | W | U);
  FETCH;
  check("accessed by a fetch", pte(), P | W | U | A);
  map(P | W | U);
  WRITE;
  check("accessed and dirty", pte(), P | W | U | A | D);
  // Cleared and invalidated, they are set again.
  table2[0] &= ~(u64)(A | D);
  invlpg((void*)kWindow);
  READ;
  check("accessed again", pte(), P | W | U | A);
  // A read-modify-write and a failed CMPXCHG count as writes; a faulting write sets nothing.
  map(P | W | U);
  TRY("mov $1, %%al\n mov $2, %%cl\n cmpxchg %%cl, 64(%0)", "r"(kWindow));
  check("dirty by a failed cmpxchg", pte(), P | W | U | A | D);
  map(P | U);
  WRITE;
  check("no dirty bit by a faulting write", pte() & D, 0);
  map(P | W | U);
  USER_READ;
  check("accessed by user", pte(), P | W | U | A);
  map(P | W);
  USER_READ;
  check("not accessed by a faulting read", pte() & D, 0);
}

static void test_large_pages(void) {
  static u8 big[2] __attribute__((aligned(4096)));
  const u64 physical = (u64)big;
  directory[1] = (physical & ~0x1fffffull) | P | W | U | PS;
  const u64 at = kWindow + 0x200000 + (physical & 0x1fffff);
  big[0] = 0x5a;
  check("2 MB page", *(volatile u8*)at, 0x5a);
  check("2 MB page accessed", directory[1] & 0xfff, P | W | U | PS | A);
  *(volatile u8*)at = 1;
  check("2 MB page dirty", directory[1] & 0xfff, P | W | U | PS | A | D);
  check("written through", *(volatile u8*)big, 1);
  pointers[1] = 0 | P | W | U | PS;
  const u64 giant = kWindow + (1ull << 30) + physical;
  *(volatile u8*)giant = 0x77;
  check("1 GB page", *(volatile u8*)big, 0x77);
  check("1 GB page dirty", pointers[1] & 0xfff, P | W | U | PS | A | D);
  pointers[1] = 0x2000 | P | W | U | PS;
  invlpg((void*)giant);
  EXPECT_STRICT("misaligned 1 GB page", PF, 9, TRY("mov (%0), %%al", "r"(giant)));
}

// Aliases, remapping with INVLPG and by loading CR3, and accesses across two pages.
static void test_changes(void) {
  map(P | W | U);
  frame[0][8] = 1;
  frame[1][8] = 2;
  check("first frame", *(volatile u8*)(kWindow + 8), 1);
  table2[0] = (u64)frame[1] | P | W | U;
  invlpg((void*)kWindow);
  check("second frame", *(volatile u8*)(kWindow + 8), 2);
  table2[0] = (u64)frame[0] | P | W | U;
  WRITE_CR(3, READ_CR(3));
  check("first frame again", *(volatile u8*)(kWindow + 8), 1);
  table2[1] = (u64)frame[1] | P | W | U;
  invlpg((void*)(kWindow + 4096));
  *(volatile u64*)(kWindow + 4092) = 0x1122334455667788;
  check("low part of a crossing store", *(u32*)(frame[0] + 4092), 0x55667788);
  check("high part of a crossing store", *(u32*)frame[1], 0x11223344);
  check("crossing load", *(volatile u64*)(kWindow + 4092), 0x1122334455667788);
  table2[1] = 0;
  invlpg((void*)(kWindow + 4096));
  *(u32*)(frame[0] + 4092) = 0xabcdabcd;
  EXPECT("crossing store into an absent page", PF, 2, TRY("movq $0, 4092(%0)", "r"(kWindow)));
  check("cr2 is the second page", trap.cr2, kWindow + 4096);
  check("nothing was stored", *(u32*)(frame[0] + 4092), 0xabcdabcd);
  // Code: the same bytes through another mapping, and code changed through an alias.
  frame[0][0] = frame[1][0] = 0xc3;
  map(P | W | U);
  OK("code in the window", FETCH);
  frame[0][0] = 0xcd;  // int $0x42
  frame[0][1] = 0x42;
  EXPECT("code changed through an alias", 0x42, 0, FETCH);
  table2[0] = (u64)frame[1] | P | W | U;
  invlpg((void*)kWindow);
  OK("code remapped", FETCH);
  frame[0][0] = 0xc3;
}

static void test_smep_smap(void) {
  u32 a, b, c, d;
  asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  if (!(b & 1 << 7) || !(b & 1 << 20)) return;
  // The guest itself lies in user pages: make the kernel's a supervisor page for the time.
  for (unsigned i = 0; i < 2048; ++i) pd0[i] &= ~(u64)U;
  WRITE_CR(3, READ_CR(3));
  map(P | W | U);
  WRITE_CR(4, READ_CR(4) | 1 << 20);
  EXPECT("SMEP", PF, 0x11, FETCH);
  OK("SMEP and data", READ);
  map(P | W);
  OK("SMEP and a supervisor page", FETCH);
  WRITE_CR(4, (READ_CR(4) & ~(1ull << 20)) | 1 << 21);
  map(P | W | U);
  EXPECT("SMAP read", PF, 1, READ);
  EXPECT("SMAP write", PF, 3, WRITE);
  OK("SMAP and fetches", FETCH);
  EXPECT("stac", NONE, 0xbad, TRY("stac\n mov (%0), %%al\n clac", "r"(kWindow)));
  EXPECT("clac", PF, 1, TRY("stac\n mov (%0), %%al\n clac\n mov (%0), %%al", "r"(kWindow)));
  map(P | W);
  OK("SMAP and a supervisor page", WRITE);
  WRITE_CR(4, READ_CR(4) & ~(1ull << 21));
  for (unsigned i = 0; i < 2048; ++i) pd0[i] |= U;
  WRITE_CR(3, READ_CR(3));
  EXPECT("stac in user mode", UD, 0, TRY_USER("stac", "i"(0)));
}

void main(void) {
  set_up_tables();
  set_up();
  test_rights();
  test_accessed_dirty();
  test_large_pages();
  test_changes();
  test_smep_smap();
  finish();
}
