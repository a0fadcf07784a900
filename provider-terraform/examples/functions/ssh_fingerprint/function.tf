output "fingerprint" {
  value = provider::metalpool::ssh_fingerprint("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X ann")
}
