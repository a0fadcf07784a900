# What was taken, and is not deployed yet.
list "metalpool_allocation" "waiting" {
  provider = metalpool

  config {
    states = ["Allocated"]
  }
}
