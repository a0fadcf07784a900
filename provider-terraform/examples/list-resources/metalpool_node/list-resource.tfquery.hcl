# What was enrolled by hand, rack by rack.
list "metalpool_node" "rack_1" {
  provider = metalpool

  config {
    labels = { rack = "r1" }
  }
}
