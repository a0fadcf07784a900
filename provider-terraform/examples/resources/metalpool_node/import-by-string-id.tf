import {
  to = metalpool_node.r1["r1-n07"]
  id = "r1-n07"
}
