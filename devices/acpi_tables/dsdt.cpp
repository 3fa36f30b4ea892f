#include "devices/acpi_tables/dsdt.h"

namespace rondo::devices {

namespace {
#include "acpi_tables/dsdt.hex"
}  // namespace

std::span<const u8> dsdt_aml() { return dsdt_aml_code; }

}  // namespace rondo::devices
