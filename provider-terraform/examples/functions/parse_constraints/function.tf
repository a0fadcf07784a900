variable "where" {
  type        = string
  default     = ""
  description = "Conditions on the labels of servers, such as rack=r1,gpu exists."
}

data "metalpool_match" "there" {
  requirements {
    dynamic "label" {
      for_each = provider::metalpool::parse_constraints(var.where)
      content {
        key    = label.value.key
        op     = label.value.op
        values = label.value.values
      }
    }
  }
}
