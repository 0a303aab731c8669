#include "json_number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <system_error>

#include "nimbus/schema/check.h"

namespace nimbus::schema {
namespace {

// An int64_t holds any exponent of so many digits, and the length of any token beside it.
constexpr size_t kExponentDigitsMax = 18;

// Every decimal of so many digits, well inside double's range, is the shortest form of a double.
constexpr size_t kDigitsAlwaysExact = 15;
constexpr int64_t kExponentAlwaysExact = 290;
constexpr size_t kDoubleDigitsMax = 17;

// Digits before the decimal point up to which a number is written without exponent:
// ECMAScript's for doubles, ours for integers no double gives back.
constexpr int64_t kPlainDigitsDouble = 21;
constexpr int64_t kPlainDigitsExact = 64;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t SkipDigits(std::string_view text, size_t at) {
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at;
}

// `magnitude` + `delta`, where the sum is known to be positive.
std::string AddToDigits(std::string magnitude, int64_t delta) {
  int64_t carry = delta;
  for (size_t i = magnitude.size(); i-- > 0 && carry != 0;) {
    const int64_t sum = (magnitude[i] - '0') + carry;
    const int64_t digit = ((sum % 10) + 10) % 10;
    magnitude[i] = static_cast<char>('0' + digit);
    carry = (sum - digit) / 10;
  }
  NIMBUS_CHECK(carry >= 0);
  if (carry > 0) magnitude.insert(0, std::to_string(carry));
  return magnitude.substr(magnitude.find_first_not_of('0'));
}

// Sets the exponent to `text` (optional sign, digits) + `shift`.
void SetExponent(std::string_view text, int64_t shift, Decimal* decimal) {
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && !IsDigit(text.front())) text.remove_prefix(1);
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  int64_t small = 0;
  if (text.size() <= kExponentDigitsMax) {
    std::from_chars(text.data(), text.data() + text.size(), small);
    small = (negative ? -small : small) + shift;
    const std::string magnitude = std::to_string(small < 0 ? -small : small);
    if (magnitude.size() <= kExponentDigitsMax) {
      decimal->exponent = small;
    } else {
      decimal->huge_exponent = (small < 0 ? "-" : "") + magnitude;
    }
    return;
  }
  std::string magnitude = AddToDigits(std::string(text), negative ? -shift : shift);
  if (magnitude.size() <= kExponentDigitsMax) {
    std::from_chars(magnitude.data(), magnitude.data() + magnitude.size(), small);
    decimal->exponent = negative ? -small : small;
  } else {
    decimal->huge_exponent = (negative ? "-" : "") + std::move(magnitude);
  }
}

std::string ShortestScientific(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::scientific);
  NIMBUS_CHECK(error == std::errc{});
  return std::string(buffer.data(), end);
}

// ECMAScript's Number::toString, for any digits; `plain_max` is 21 there.
void AppendDecimal(const Decimal& decimal, int64_t plain_max, std::string* out) {
  if (decimal.IsZero()) {
    out->push_back('0');
    return;
  }
  if (decimal.negative) out->push_back('-');
  const std::string& digits = decimal.digits;
  const auto count = static_cast<int64_t>(digits.size());
  const int64_t point = decimal.exponent + 1;  // digits before the decimal point
  const bool plain = decimal.huge_exponent.empty() && point <= plain_max;
  if (plain && point >= count) {
    out->append(digits).append(static_cast<size_t>(point - count), '0');
  } else if (plain && point > 0) {
    out->append(digits, 0, static_cast<size_t>(point)).append(".");
    out->append(digits, static_cast<size_t>(point));
  } else if (plain && point > -6) {
    out->append("0.").append(static_cast<size_t>(-point), '0').append(digits);
  } else {
    out->push_back(digits.front());
    if (count > 1) out->append(".").append(digits, 1);
    const std::string exponent =
        decimal.huge_exponent.empty() ? std::to_string(decimal.exponent) : decimal.huge_exponent;
    out->append(exponent.front() == '-' ? "e" : "e+").append(exponent);
  }
}

// Whether the shortest form of the double nearest to `token` is this number.
bool DoubleGivesBack(std::string_view token, const Decimal& decimal) {
  if (!decimal.huge_exponent.empty() || decimal.digits.size() > kDoubleDigitsMax) return false;
  if (decimal.digits.size() <= kDigitsAlwaysExact &&
      std::abs(decimal.exponent) <= kExponentAlwaysExact) {
    return true;
  }
  const std::optional<double> nearest = NearestDouble(token);
  return nearest.has_value() && ParseDecimal(ShortestScientific(*nearest)) == decimal;
}

}  // namespace

bool IsJsonNumber(std::string_view token) {
  size_t at = 0;
  if (at < token.size() && token[at] == '-') ++at;
  const size_t integer = at;
  at = SkipDigits(token, at);
  if (at == integer || (token[integer] == '0' && at - integer > 1)) return false;
  if (at < token.size() && token[at] == '.') {
    const size_t fraction = at + 1;
    at = SkipDigits(token, fraction);
    if (at == fraction) return false;
  }
  if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
    ++at;
    if (at < token.size() && (token[at] == '+' || token[at] == '-')) ++at;
    const size_t exponent = at;
    at = SkipDigits(token, exponent);
    if (at == exponent) return false;
  }
  return at == token.size();
}

bool Decimal::IsInteger() const {
  return huge_exponent.empty() && exponent + 1 >= static_cast<int64_t>(digits.size());
}

Decimal ParseDecimal(std::string_view token) {
  Decimal decimal;
  decimal.negative = token.front() == '-';
  if (decimal.negative) token.remove_prefix(1);
  const size_t mantissa_end = std::min(token.find_first_of("eE"), token.size());
  const std::string_view mantissa = token.substr(0, mantissa_end);
  const size_t integer_digits = std::min(mantissa.find('.'), mantissa.size());

  std::string& digits = decimal.digits;
  digits.reserve(mantissa.size());
  digits.append(mantissa.substr(0, integer_digits));
  if (integer_digits < mantissa.size()) digits.append(mantissa.substr(integer_digits + 1));
  const size_t first = digits.find_first_not_of('0');
  if (first == std::string::npos) return Decimal{};
  digits.erase(digits.find_last_not_of('0') + 1);
  digits.erase(0, first);

  const auto shift = static_cast<int64_t>(integer_digits) - 1 - static_cast<int64_t>(first);
  SetExponent(token.substr(std::min(mantissa_end + 1, token.size())), shift, &decimal);
  return decimal;
}

std::optional<int64_t> DecimalToInt(const Decimal& decimal) {
  if (decimal.IsZero()) return 0;
  if (!decimal.IsInteger() || decimal.exponent > 18) return std::nullopt;
  std::string text = decimal.negative ? "-" : "";
  text.append(decimal.digits);
  text.append(static_cast<size_t>(decimal.exponent) + 1 - decimal.digits.size(), '0');
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<double> NearestDouble(std::string_view token) {
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error == std::errc{}) {
    if (!std::isfinite(value)) return std::nullopt;
    return value;
  }
  // Out of range does not say on which side.
  const Decimal decimal = ParseDecimal(token);
  const bool below =
      decimal.huge_exponent.empty() ? decimal.exponent < 0 : decimal.huge_exponent.front() == '-';
  if (!below) return std::nullopt;
  return decimal.negative ? -0.0 : 0.0;
}

std::string FormatDouble(double value) {
  NIMBUS_CHECK(std::isfinite(value));
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  std::string out;
  AppendDecimal(ParseDecimal(ShortestScientific(value)), kPlainDigitsDouble, &out);
  return out;
}

void AppendCanonicalNumber(std::string_view token, std::string* out) {
  // Most numbers are small integers, which are canonical as they stand.
  const size_t sign = token.front() == '-' ? 1 : 0;
  if (token.size() - sign <= kDigitsAlwaysExact && SkipDigits(token, sign) == token.size() &&
      token != "-0") {
    out->append(token);
    return;
  }
  const Decimal decimal = ParseDecimal(token);
  AppendDecimal(decimal, DoubleGivesBack(token, decimal) ? kPlainDigitsDouble : kPlainDigitsExact,
                out);
}

}  // namespace nimbus::schema
