#include "nimbus/projections/lineage.h"

#include "lineage_rows.h"
#include "view_reader.h"

namespace nimbus::projections {

using schema::Uuid;

class Lineage::Rows : public ViewReader<LineageReader> {
 public:
  using ViewReader::ViewReader;
};

Lineage::Lineage(Views* views) : rows_(std::make_unique<Rows>(views)) {}

Lineage::~Lineage() = default;

absl::StatusOr<std::vector<Fork>> Lineage::ForksOf(const Uuid& operation) {
  return rows_->With([&](LineageReader& reader) { return reader.ForksOf(operation); });
}

absl::StatusOr<std::optional<Fork>> Lineage::ForkOrigin(const Uuid& operation) {
  return rows_->With([&](LineageReader& reader) { return reader.ForkOrigin(operation); });
}

absl::StatusOr<std::vector<ReplayReceipt>> Lineage::ReceiptsOf(const Uuid& operation) {
  return rows_->With([&](LineageReader& reader) { return reader.ReceiptsOf(operation); });
}

}  // namespace nimbus::projections
