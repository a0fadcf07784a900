import {
  to = metalpool_deployment.build
  id = "team-a/prod/build-1"
}
