# By its name, as 'metalpool image list' shows it.
terraform import metalpool_image.debian debian-12-20260101
