// liburcu's cds_lfht in its QSBR flavour, behind the calls of cache_contestants.h. Built only where
// liburcu-dev is installed.
#pragma once

#if __has_include(<urcu/urcu-qsbr.h>)

// The read side inlined, as the library asks of those who may.
#define _LGPL_SOURCE  // NOLINT(bugprone-reserved-identifier)
#include <urcu/urcu-qsbr.h>
// after the flavour, which it takes its names from
#include <urcu/rculfhash.h>

#include <bit>
#include <memory>
#include <string>
#include <string_view>

#include "bench/cache_contestants.h"

namespace cache_bench {

// Lives as long as the program.
class Lfht {
 public:
  explicit Lfht(uint32_t names)
      : table_(cds_lfht_new_flavor(std::bit_ceil(uint64_t{names}), std::bit_ceil(uint64_t{names}),
                                   0, 0, &urcu_qsbr_flavor, nullptr)) {
    Local local(*this);
    for (uint32_t i = 0; i < names; ++i) local.write(i, domain_name(i));
  }
  Lfht(const Lfht&) = delete;
  Lfht& operator=(const Lfht&) = delete;

  // Registers its thread; one at a time on each.
  class Local {
   public:
    explicit Local(Lfht& lfht) : table_(lfht.table_) { urcu_qsbr_register_thread(); }
    ~Local() { urcu_qsbr_unregister_thread(); }
    Local(const Local&) = delete;
    Local& operator=(const Local&) = delete;

    uint64_t read(std::string_view name) const {
      cds_lfht_iter iter;
      cds_lfht_lookup(table_, Hash{}(name), matches, &name, &iter);
      cds_lfht_node* node = cds_lfht_iter_get_node(&iter);
      if (node == nullptr) return 0;
      const Value& value = item_of(node)->value;
      return use(value.expires - kNow, value.exchanger);
    }
    void write(uint64_t i, std::string_view name) {
      auto item = std::make_unique<Item>();
      item->name = name;
      item->value = value_of(incoming_.answer(i, name));
      cds_lfht_node_init(&item->node);
      cds_lfht_node* old =
          cds_lfht_add_replace(table_, Hash{}(name), matches, &name, &item.release()->node);
      if (old != nullptr) {
        urcu_qsbr_call_rcu(&item_of(old)->head, [](rcu_head* head) {
          delete reinterpret_cast<Item*>(reinterpret_cast<char*>(head) - offsetof(Item, head));
        });
      }
    }
    void rest() { urcu_qsbr_quiescent_state(); }

   private:
    cds_lfht* table_;
    Incoming incoming_;
  };

 private:
  struct Item {
    cds_lfht_node node;  // first: item_of() relies on it
    std::string name;
    Value value;
    rcu_head head;
  };
  static Item* item_of(cds_lfht_node* node) { return reinterpret_cast<Item*>(node); }
  static int matches(cds_lfht_node* node, const void* key) {
    return item_of(node)->name == *static_cast<const std::string_view*>(key);
  }
  cds_lfht* table_;
};

}  // namespace cache_bench

#endif
