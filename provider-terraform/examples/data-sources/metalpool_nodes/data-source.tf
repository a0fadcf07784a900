data "metalpool_nodes" "free" {
  states = ["Available"]
}

output "free" {
  value = data.metalpool_nodes.free.nodes[*].id
}
