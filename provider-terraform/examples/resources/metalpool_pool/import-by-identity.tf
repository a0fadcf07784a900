import {
  to = metalpool_pool.ci
  identity = {
    name = "ci"
  }
}
