#include "nimbus/schema/clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace nimbus::schema {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

int64_t MicrosOf(std::chrono::sys_days day) {
  return int64_t{day.time_since_epoch().count()} * kMicrosPerDay;
}

std::chrono::sys_days DayOf(int year, unsigned month, unsigned day) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day);
}

// Reads from the front of a text; every method says whether it could.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool Digits(size_t count, int* value) {
    if (rest_.size() < count) return false;
    *value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return false;
      *value = *value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return true;
  }

  bool Any(std::string_view characters, char* found = nullptr) {
    if (rest_.empty() || characters.find(rest_.front()) == std::string_view::npos) return false;
    if (found != nullptr) *found = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }

  // At least one digit after the point; digits beyond the sixth are dropped.
  bool Fraction(int64_t* micros) {
    int64_t unit = kMicrosPerSecond / 10;
    int digit = 0;
    if (!Digits(1, &digit)) return false;
    do {
      *micros += digit * unit;
      unit /= 10;
    } while (Digits(1, &digit));
    return true;
  }

  bool AtEnd() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool ScanDate(Scanner* scanner, int64_t* micros) {
  int year = 0, month = 0, day = 0;
  if (!scanner->Digits(4, &year) || !scanner->Any("-") || !scanner->Digits(2, &month) ||
      !scanner->Any("-") || !scanner->Digits(2, &day)) {
    return false;
  }
  const auto date = std::chrono::year(year) / month / day;
  if (!date.ok()) return false;
  *micros = MicrosOf(std::chrono::sys_days(date));
  return true;
}

bool ScanTime(Scanner* scanner, int64_t* micros) {
  int hour = 0, minute = 0, second = 0;
  if (!scanner->Digits(2, &hour) || !scanner->Any(":") || !scanner->Digits(2, &minute)) {
    return false;
  }
  int64_t fraction = 0;
  if (scanner->Any(":")) {
    if (!scanner->Digits(2, &second)) return false;
    if (scanner->Any(".,") && !scanner->Fraction(&fraction)) return false;
  }
  if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second
  *micros += ((hour * 60 + minute) * 60 + second) * kMicrosPerSecond + fraction;
  return true;
}

bool ScanOffset(Scanner* scanner, int64_t* micros) {
  char sign = 0;
  if (scanner->AtEnd() || scanner->Any("Zz")) return true;
  int hour = 0, minute = 0;
  if (!scanner->Any("+-", &sign) || !scanner->Digits(2, &hour)) return false;
  scanner->Any(":");
  if (!scanner->AtEnd() && !scanner->Digits(2, &minute)) return false;
  if (hour > 23 || minute > 59) return false;
  const int64_t offset = (hour * 60 + minute) * 60 * kMicrosPerSecond;
  *micros += sign == '-' ? offset : -offset;
  return true;
}

}  // namespace

int64_t SystemClock::NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string FormatUtc(int64_t micros) {
  static const int64_t kFirst = MicrosOf(DayOf(0, 1, 1));
  static const int64_t kLast = MicrosOf(DayOf(10000, 1, 1)) - 1;
  micros = std::clamp(micros, kFirst, kLast);
  const std::chrono::sys_time<std::chrono::microseconds> time{std::chrono::microseconds(micros)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const int64_t in_day = (time - day).count();
  const int64_t seconds = in_day / kMicrosPerSecond;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     seconds / 3600, seconds / 60 % 60, seconds % 60, in_day % kMicrosPerSecond);
}

std::optional<int64_t> ParseUtc(std::string_view text) {
  Scanner scanner(text);
  int64_t micros = 0;
  if (!ScanDate(&scanner, &micros) || !scanner.Any("Tt ") || !ScanTime(&scanner, &micros) ||
      !ScanOffset(&scanner, &micros) || !scanner.AtEnd()) {
    return std::nullopt;
  }
  return micros;
}

}  // namespace nimbus::schema
