output "bytes" {
  value = provider::metalpool::parse_size("64GiB") # 68719476736
}
