#pragma once

namespace checkpoint::cli {

/// The page that `report` writes, with @DATA@ where its JSON goes. Made from checkpoint/report/
/// when the build is configured.
extern const char kReportPage[];

}  // namespace checkpoint::cli
