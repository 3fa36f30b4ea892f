// vCPU states, compared field by field.
#pragma once

#include <gtest/gtest.h>

#include <tuple>

#include "core/cpu/state.h"

namespace rondo {

// Every field but the x87's last-instruction pointers, which a processor may drop (docs/kvm.md).
inline void expect_equal(const CpuState& got, const CpuState& want) {
  EXPECT_EQ(got.gpr, want.gpr);
  EXPECT_EQ(got.rip, want.rip);
  EXPECT_EQ(got.rflags, want.rflags);
  const auto expect_segment = [](const Segment& g, const Segment& w, const char* name) {
    EXPECT_EQ(g.selector, w.selector) << name;
    EXPECT_EQ(g.base, w.base) << name;
    EXPECT_EQ(g.limit, w.limit) << name;
    EXPECT_EQ(g.type, w.type) << name;
    EXPECT_EQ(g.s, w.s) << name;
    EXPECT_EQ(g.dpl, w.dpl) << name;
    EXPECT_EQ(g.present, w.present) << name;
    EXPECT_EQ(g.avl, w.avl) << name;
    EXPECT_EQ(g.l, w.l) << name;
    EXPECT_EQ(g.db, w.db) << name;
    EXPECT_EQ(g.g, w.g) << name;
  };
  constexpr const char* kNames[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
  for (unsigned i = 0; i < 6; ++i) expect_segment(got.segment[i], want.segment[i], kNames[i]);
  expect_segment(got.ldtr, want.ldtr, "LDTR");
  expect_segment(got.tr, want.tr, "TR");
  EXPECT_EQ(got.gdtr.base, want.gdtr.base);
  EXPECT_EQ(got.gdtr.limit, want.gdtr.limit);
  EXPECT_EQ(got.idtr.base, want.idtr.base);
  EXPECT_EQ(got.idtr.limit, want.idtr.limit);
  EXPECT_EQ(std::make_tuple(got.cr0, got.cr2, got.cr3, got.cr4, got.cr8, got.efer),
            std::make_tuple(want.cr0, want.cr2, want.cr3, want.cr4, want.cr8, want.efer));
  EXPECT_EQ(got.dr, want.dr);
  EXPECT_EQ(std::make_tuple(got.dr6, got.dr7), std::make_tuple(want.dr6, want.dr7));
  EXPECT_EQ(got.fpu.significand, want.fpu.significand);
  EXPECT_EQ(got.fpu.sign_exponent, want.fpu.sign_exponent);
  EXPECT_EQ(std::make_tuple(got.fpu.control, got.fpu.status, got.fpu.valid, got.mxcsr),
            std::make_tuple(want.fpu.control, want.fpu.status, want.fpu.valid, want.mxcsr));
  EXPECT_TRUE(got.xmm == want.xmm);
  EXPECT_EQ(std::make_tuple(got.sysenter_cs, got.sysenter_esp, got.sysenter_eip, got.star, got.lstar, got.cstar,
                            got.sfmask, got.kernel_gs_base, got.tsc_aux),
            std::make_tuple(want.sysenter_cs, want.sysenter_esp, want.sysenter_eip, want.star, want.lstar, want.cstar,
                            want.sfmask, want.kernel_gs_base, want.tsc_aux));
  EXPECT_EQ(std::make_tuple(got.tsc_offset, got.tsc_adjust, got.pat, got.misc_enable, got.spec_ctrl, got.mtrr_def_type),
            std::make_tuple(want.tsc_offset, want.tsc_adjust, want.pat, want.misc_enable, want.spec_ctrl,
                            want.mtrr_def_type));
  EXPECT_EQ(got.activity, want.activity);
  EXPECT_EQ(
      std::make_tuple(got.sti_shadow, got.mov_ss_shadow, got.nmi_pending, got.nmi_blocked, got.pending_debug),
      std::make_tuple(want.sti_shadow, want.mov_ss_shadow, want.nmi_pending, want.nmi_blocked, want.pending_debug));
}

}  // namespace rondo
