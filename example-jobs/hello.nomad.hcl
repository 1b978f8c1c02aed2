# A web server: a pot with a port that others can reach, registered in Nomad's own catalogue of
# services with a check.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/hello.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "hello" {
  group "hello" {
    network {
      port "http" {
        to = 8080 # in the pot; on the host it is one that Nomad finds free
      }
    }

    service {
      name     = "hello"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "hello" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
