// Numbers of JSON, exactly: any count of digits, any exponent. Private to schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nimbus::schema {

// Whether `token` is a number of RFC 8259, section 6.
bool IsJsonNumber(std::string_view token);

// A number's value as ±d.ddd × 10^exponent, in the one form each value has:
// no zero leads or ends the digits, and zero has no digits, sign or exponent.
// So two numbers are equal if and only if their Decimals are.
//
// An exponent of 19 digits or more stands as text in `huge_exponent`, and then
// `exponent` is 0: whatever a token says, a Decimal is never larger than it.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t exponent = 0;
  std::string huge_exponent;

  bool operator==(const Decimal&) const = default;
  bool IsZero() const { return digits.empty(); }
  bool IsInteger() const;  // false for a huge exponent, which nobody writes out
};

// Requires a number.
Decimal ParseDecimal(std::string_view token);

// The value as an integer; nullopt when it is none or does not fit.
std::optional<int64_t> DecimalToInt(const Decimal& decimal);

// The double nearest to `token`; 0 below its range, nullopt beyond it.
std::optional<double> NearestDouble(std::string_view token);

// The shortest digits that read back as `value`, laid out as ECMAScript does,
// but "-0" for negative zero. Requires a finite value.
std::string FormatDouble(double value);

// The number as CanonicalJson writes it, appended to `out`.
void AppendCanonicalNumber(std::string_view token, std::string* out);

}  // namespace nimbus::schema
