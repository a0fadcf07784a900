data "metalpool_machine" "database" {
  owner = "team-b/prod"
  name  = "db-1"
}

output "database" {
  value = data.metalpool_machine.database.address
}
