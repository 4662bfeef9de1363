#pragma once

namespace checkpoint::cli {

/// The page that `report` writes. The program replaces @DATA@ in it with JSON. CMake makes it from
/// checkpoint/report/ when the build is configured.
extern const char kReportPage[];

}  // namespace checkpoint::cli
