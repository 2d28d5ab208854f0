// Who a receiver is, by what it says of itself. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Of the text of its greeting: the first line without words that change from connection to
// connection (dates, times, and words that mix digits and letters without a dot, such as session
// ids). At most 200 octets.
std::string banner_identity(std::string_view greeting);
// The name that it gives in the text of its reply to EHLO or HELO, before that.
std::string whole_identity(std::string_view hello, std::string_view banner);

}  // namespace sluice
