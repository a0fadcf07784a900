import {
  to = metalpool_machine.web
  identity = {
    id = "tf-0123456789abcdef"
  }
}
