import {
  to = metalpool_allocation.db
  identity = {
    id = "tf-0123456789abcdef"
  }
}
