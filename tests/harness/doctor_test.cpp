// `rondo doctor`: the probes where there is a KVM, and what is concluded from every kind of host.
#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/doctor/findings.h"
#include "harness/doctor/probe_guest.h"

namespace rondo::doctor {
namespace {

KvmFacts ideal_facts() {
  KvmFacts f;
  f.cpuid.kernel.honoured = f.cpuid.user.honoured = true;
  f.rdtsc = {Behaviour::executes, Behaviour::faults};
  f.rdrand = f.rdseed = f.xgetbv = f.avx = f.fsgsbase = {Behaviour::faults, Behaviour::faults};
  f.debug.kernel = f.debug.user = {true, true, true};
  f.syscall_enters_kernel = f.interrupts_by_program = f.user_descriptors = f.undefined_flags = true;
  f.single_step_rep = f.window_exact = f.msr_exits = f.immediate_exit = true;
  f.dirty_log = {DirtyLog::exact, DirtyLog::exact};
  f.mips = {4000, 4000};
  f.port_exit_us = {2, 2};
  return f;
}

HostProfile ideal_host() {
  HostProfile p;
  p.kvm = kvm::Availability::usable;
  p.facts = ideal_facts();
  p.instructions = {.available = true, .exact = false, .why = "the same work gives different counts"};
  p.conditional_branches = {.available = true, .exact = true, .why = ""};
  return p;
}

const Finding* find(const std::vector<Finding>& list, const std::string& id) {
  for (const Finding& f : list) {
    if (f.id == id) return &f;
  }
  return nullptr;
}

TEST(Doctor, AnIdealHostWithholdsNothing) {
  const auto concluded = conclusions(ideal_host());
  EXPECT_TRUE(nothing_withheld(concluded));
  for (const Finding& f : concluded) EXPECT_EQ(f.grade, Grade::good) << f.id;
}

TEST(Doctor, EveryLeakIsNamed) {
  HostProfile p = ideal_host();
  p.facts->cpuid.user = {.honoured = false, .leaked = {"avx", "rdrand"}, .vendor_honoured = true};
  EXPECT_EQ(find(conclusions(p), "record_kvm")->grade, Grade::good);  // it is recorded
  p = ideal_host();
  p.facts->rdrand.user = Behaviour::executes;
  EXPECT_NE(find(conclusions(p), "record_kvm")->detail.find("RDRAND"), std::string::npos);
  p = ideal_host();
  p.facts->rdtsc.user = Behaviour::executes;
  EXPECT_NE(find(conclusions(p), "record_kvm")->detail.find("RDTSC"), std::string::npos);
  EXPECT_EQ(find(conclusions(p), "record_kvm")->grade, Grade::limited);
  EXPECT_FALSE(nothing_withheld(conclusions(p)));
}

TEST(Doctor, WithoutMsrExitsKvmIsRefused) {
  HostProfile p = ideal_host();
  p.facts->msr_exits = false;
  EXPECT_EQ(find(conclusions(p), "run_kvm")->grade, Grade::bad);
  EXPECT_EQ(find(conclusions(p), "record_kvm"), nullptr);
}

TEST(Doctor, ADirtyLogThatMissesPagesIsRefused) {
  HostProfile p = ideal_host();
  p.facts->dirty_log.user = DirtyLog::misses;
  EXPECT_EQ(find(conclusions(p), "run_kvm")->grade, Grade::bad);
}

TEST(Doctor, MissingDevice) {
  const HostProfile p = examine_host("/dev/there-is-no-such-kvm");
  EXPECT_EQ(p.kvm, kvm::Availability::missing);
  EXPECT_NE(p.kvm_problem.find("is not there"), std::string::npos) << p.kvm_problem;
  EXPECT_NE(p.kvm_problem.find("--engine software"), std::string::npos) << p.kvm_problem;
  EXPECT_FALSE(p.facts);
  EXPECT_EQ(find(conclusions(p), "software")->grade, Grade::good);
  EXPECT_EQ(find(conclusions(p), "run_kvm")->grade, Grade::bad);
}

TEST(Doctor, SomethingElseThanKvm) {
  const HostProfile p = examine_host("/dev/null");
  EXPECT_EQ(p.kvm, kvm::Availability::unusable);
  EXPECT_NE(p.kvm_problem.find("does not answer as KVM does"), std::string::npos) << p.kvm_problem;
}

TEST(Doctor, NoPermission) {
  if (geteuid() == 0)
    GTEST_SKIP() << "root may open everything; tests/end_to_end/test_doctor.py does this as another user";
  const HostProfile p = examine_host("/proc/kcore");
  EXPECT_EQ(p.kvm, kvm::Availability::no_permission);
}

class OnKvm : public testing::Test {
 protected:
  void SetUp() override {
    opened_ = kvm::System::open();
    if (!opened_.system) GTEST_SKIP() << "no KVM: " << opened_.error.message;
    auto guest = ProbeGuest::create(*opened_.system);
    ASSERT_TRUE(guest) << guest.error().message;
    guest_ = std::move(*guest);
  }
  kvm::System::Opened opened_;
  std::unique_ptr<ProbeGuest> guest_;
};

TEST_F(OnKvm, ProbesRunAtBothLevels) {
  for (const Level level : {Level::kernel, Level::user}) {
    const u8 code[] = {0x48, 0xff, 0xc0};  // inc rax
    const Outcome o = guest_->run(code, {.level = level, .rax = 41});
    EXPECT_EQ(o.ending, Ending::finished);
    EXPECT_EQ(o.regs.rax, 42u);
    const u8 undefined[] = {0x0f, 0x0b};
    const Outcome ud = guest_->run(undefined, {.level = level});
    EXPECT_EQ(ud.ending, Ending::exception);
    EXPECT_EQ(ud.vector, 6);
  }
}

TEST_F(OnKvm, AGuestThatNeverEndsIsInterrupted) {
  const u8 code[] = {0xeb, 0xfe};
  EXPECT_EQ(guest_->run(code, {.level = Level::user, .timeout_ns = 5'000'000}).ending, Ending::kicked);
  EXPECT_EQ(guest_->run(code, {.level = Level::kernel, .timeout_ns = 5'000'000}).ending, Ending::kicked);
}

TEST_F(OnKvm, PrivilegedInstructionsFaultAtLevel3) {
  const u8 code[] = {0x0f, 0x06};  // clts
  const Outcome o = guest_->run(code, {.level = Level::user});
  EXPECT_EQ(o.ending, Ending::exception);
  EXPECT_EQ(o.vector, 13);
}

TEST_F(OnKvm, ExaminationIsComplete) {
  const HostProfile p = examine_host();
  ASSERT_TRUE(p.facts) << p.probe_problem;
  EXPECT_GT(p.facts->mips.kernel, 0.01);
  EXPECT_GT(p.facts->mips.user, 0.01);
  EXPECT_NE(p.facts->dirty_log.kernel, DirtyLog::misses);
  EXPECT_TRUE(p.facts->immediate_exit);
  EXPECT_NE(to_text(p).find("record on KVM"), std::string::npos);
}

}  // namespace
}  // namespace rondo::doctor
