// From what `rondo doctor` found to how a machine is run on KVM: refusals and leaks.
#include "harness/kvm/plan.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

using doctor::Behaviour;

// A host on which everything is as it should be.
doctor::HostProfile perfect_host() {
  doctor::HostProfile profile;
  doctor::KvmFacts facts;
  facts.cpuid = {{true, {}, true}, {true, {}, true}};
  facts.rdtsc = {Behaviour::executes, Behaviour::faults};
  facts.rdrand = facts.rdseed = facts.xgetbv = facts.avx = facts.fsgsbase = {Behaviour::faults, Behaviour::faults};
  facts.dirty_log = {doctor::DirtyLog::exact, doctor::DirtyLog::exact};
  facts.syscall_enters_kernel = facts.interrupts_by_program = facts.window_exact = true;
  facts.msr_exits = facts.immediate_exit = facts.user_descriptors = facts.undefined_flags = true;
  facts.mips = {2000, 3000};
  profile.facts = facts;
  return profile;
}

TEST(KvmPlan, PerfectHost) {
  const auto plan = plan_kvm(perfect_host(), KvmCare::speed);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->unlogged, std::vector<std::string>{"RDTSC"});
  EXPECT_TRUE(plan->find_patches.time_stamps);
  EXPECT_FALSE(plan->find_patches.random);
  EXPECT_FALSE(plan->settings.user_cpuid_leaks);
  EXPECT_TRUE(plan->settings.exact_windows);
  EXPECT_FALSE(plan->settings.supervisor_in_software);
}

// Only programs run on KVM then, and their time stamps fault.
TEST(KvmPlan, PerfectHostIsComplete) {
  const auto plan = plan_kvm(perfect_host(), KvmCare::completeness);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->unlogged.empty());
  EXPECT_TRUE(plan->kernel_parameters.empty());
  EXPECT_TRUE(plan->settings.supervisor_in_software);
  EXPECT_FALSE(plan->settings.host_traps_time_stamps);
}

TEST(KvmPlan, MissingKvmIsOneLineWithAdvice) {
  doctor::HostProfile profile;
  profile.kvm_problem = "/dev/kvm is not there";
  const auto plan = plan_kvm(profile, KvmCare::speed);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message, "--engine kvm: /dev/kvm is not there; --engine software works everywhere");
}

TEST(KvmPlan, KvmThatCannotBeInterruptedIsRefused) {
  doctor::HostProfile profile = perfect_host();
  profile.facts->immediate_exit = false;
  EXPECT_FALSE(plan_kvm(profile, KvmCare::speed));
}

TEST(KvmPlan, WhatLeaksIsNamed) {
  doctor::HostProfile profile = perfect_host();
  profile.facts->rdtsc.user = Behaviour::executes;
  profile.facts->cpuid.user.honoured = false;
  profile.facts->rdseed.user = Behaviour::executes;
  const auto plan = plan_kvm(profile, KvmCare::speed);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->unlogged, (std::vector<std::string>{"RDTSC", "RDRAND and RDSEED"}));
  EXPECT_TRUE(plan->kernel_parameters.starts_with(" clocksource=acpi_pm GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,"));
  EXPECT_TRUE(plan->settings.user_cpuid_leaks);
  profile.facts->cpuid.kernel.honoured = false;
  profile.facts->avx.kernel = Behaviour::executes;
  EXPECT_EQ(plan_kvm(profile, KvmCare::speed)->unlogged,
            (std::vector<std::string>{"RDTSC", "CPUID", "RDRAND and RDSEED", "AVX"}));
  // In software the kernel sees the model.
  EXPECT_EQ(plan_kvm(profile, KvmCare::completeness)->unlogged,
            (std::vector<std::string>{"RDTSC", "RDRAND and RDSEED"}));
}

// The host's own CR4.TSD helps where the guest's registers at CPL 3 are ours.
TEST(KvmPlan, TimeStampsAreTrappedWithTheHostsHelp) {
  doctor::HostProfile profile = perfect_host();
  profile.facts->rdtsc.user = Behaviour::executes;
  profile.facts->rdtsc_faults_by_host = true;
  EXPECT_FALSE(plan_kvm(profile, KvmCare::speed)->settings.host_traps_time_stamps);
  EXPECT_EQ(plan_kvm(profile, KvmCare::speed)->unlogged, std::vector<std::string>{"RDTSC"});
  profile.facts->mips.kernel = 1.2;
  EXPECT_TRUE(plan_kvm(profile, KvmCare::speed)->settings.host_traps_time_stamps);
  EXPECT_TRUE(plan_kvm(profile, KvmCare::speed)->unlogged.empty());
  EXPECT_TRUE(plan_kvm(profile, KvmCare::speed)->kernel_parameters.empty());
}

TEST(KvmPlan, WhatProgramsSeeOfTheHostIsUnlogged) {
  const auto unlogged = [](auto&& change) {
    doctor::HostProfile profile = perfect_host();
    change(*profile.facts);
    return plan_kvm(profile, KvmCare::completeness)->unlogged;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(unlogged([](auto& f) { f.fsgsbase.user = Behaviour::executes; }), Names{"FSGSBASE"});
  EXPECT_EQ(unlogged([](auto& f) { f.user_descriptors = false; }), Names{"segment descriptors"});
  EXPECT_EQ(unlogged([](auto& f) { f.undefined_flags = false; }), Names{"undefined flags"});
  doctor::HostProfile profile = perfect_host();
  profile.facts->user_descriptors = false;
  EXPECT_TRUE(plan_kvm(profile, KvmCare::completeness)->settings.user_descriptors_leak);
}

TEST(KvmPlan, EmulatedKernelCodeRunsInSoftware) {
  doctor::HostProfile profile = perfect_host();
  profile.facts->mips.kernel = 1.2;
  const auto plan = plan_kvm(profile, KvmCare::speed);
  EXPECT_TRUE(plan->settings.supervisor_in_software);
  EXPECT_FALSE(plan->find_patches.any());
  const auto all = plan_kvm(profile, KvmCare::all_on_kvm);
  EXPECT_FALSE(all->settings.supervisor_in_software);
  EXPECT_TRUE(all->find_patches.time_stamps);
}

TEST(KvmPlan, RdrandIsReplacedWhereItLeaksAtCpl0) {
  doctor::HostProfile profile = perfect_host();
  profile.facts->rdrand.user = Behaviour::executes;
  EXPECT_FALSE(plan_kvm(profile, KvmCare::speed)->find_patches.random);
  profile.facts->rdseed.kernel = Behaviour::executes;
  EXPECT_TRUE(plan_kvm(profile, KvmCare::speed)->find_patches.random);
  EXPECT_FALSE(plan_kvm(profile, KvmCare::completeness)->find_patches.random);
  EXPECT_FALSE(plan_kvm(profile, KvmCare::speed)->find_patches.cpuid);
  profile.facts->cpuid.kernel.honoured = false;
  EXPECT_TRUE(plan_kvm(profile, KvmCare::speed)->find_patches.cpuid);
}

}  // namespace
}  // namespace rondo
