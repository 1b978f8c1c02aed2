# An image from a server that asks for a token, which only this job can read. First store it:
# nomad var put nomad/jobs/credentials token=TOKEN
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/credentials.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "credentials" {
  type = "batch"

  group "credentials" {
    task "exit" {
      driver = "pot"

      template {
        data        = "IMAGES_TOKEN={{ with nomadVar \"nomad/jobs/credentials\" }}{{ .token }}{{ end }}"
        destination = "secrets/images.env"
        env         = true
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["exit", "0"]

        auth {
          token = "${IMAGES_TOKEN}" # or username and password
        }
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
