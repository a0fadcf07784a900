import {
  to = metalpool_deployment.build
  identity = {
    id = "tf-0123456789abcdef" # of its allocation
  }
}
