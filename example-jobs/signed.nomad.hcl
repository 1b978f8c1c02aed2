# An image that must be exactly this one, signed with that key of signify(1). DIGEST is
# "skein1024:" and what is in the image's .skein file; KEY is a path on the client.
#
#     nomad job run -var image=URL -var pot=NAME -var digest=DIGEST -var key=KEY example-jobs/signed.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

variable "digest" {
  type    = string
  default = "" # any
}

variable "key" {
  type    = string
  default = "" # none
}

job "signed" {
  type = "batch"

  group "signed" {
    task "exit" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["exit", "0"]

        digest         = var.digest
        signify_pubkey = var.key
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
