import {
  to = metalpool_allocation.db
  id = "team-a/prod/db-1"
}
