import {
  to = metalpool_node.r1["r1-n07"]
  identity = {
    name = "r1-n07"
  }
}
