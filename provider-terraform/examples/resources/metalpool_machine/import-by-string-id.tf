import {
  to = metalpool_machine.web
  id = "team-a/prod/web-1"
}
