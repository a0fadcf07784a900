import {
  to = metalpool_pool.ci
  id = "ci"
}
