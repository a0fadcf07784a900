data "metalpool_match" "large" {
  requirements {
    memory = "512GiB"
  }
}

output "fits" {
  value = data.metalpool_match.large.fits
}

output "why_not" {
  value = { for c in data.metalpool_match.large.candidates : c.node => c.why }
}
