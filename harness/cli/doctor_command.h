// `rondo doctor`: what this host can run, record, replay and guarantee, and why not.
#pragma once

namespace rondo::cli {

// Exit status: 0 everything that Rondo can promise it promises here; 3 something is limited or missing.
int doctor_command(bool json);

}  // namespace rondo::cli
