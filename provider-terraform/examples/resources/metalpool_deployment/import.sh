# As its allocation: by ID, by OWNER/NAME, or by a name of the provider's owner's own.
terraform import metalpool_deployment.build team-a/prod/build-1
