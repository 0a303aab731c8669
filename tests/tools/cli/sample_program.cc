#include "tools/cli/sample_app.h"

#include "tools/cli/documentation.h"

int main(int argc, char** argv) {
  nimbus::tools::cli::SampleValues values;
  const std::unique_ptr<CLI::App> app = nimbus::tools::cli::MakeSampleApp(&values);
  nimbus::tools::cli::AddDocumentationCommands(app.get(), "1.2.3",
                                               {{"EXIT STATUS", "0 if all went well."}});
  CLI11_PARSE(*app, argc, argv);
  return 0;
}
